"""JPEG files: same pixels, same bytes."""

import cv2
import numpy as np
from numpy.typing import NDArray


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 88) -> bytes:
    """A JPEG of uint8, grey (H, W) or RGB (H, W, 3).

    Raises:
        ValueError: if a side is longer than JPEG can hold.
    """
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode pixels of shape {pixels.shape} as JPEG")
    return data.tobytes()
