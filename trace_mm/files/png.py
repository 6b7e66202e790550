"""PNG files of 8 or 16 bits a channel: same pixels, same bytes."""

import cv2
import numpy as np
from numpy.typing import NDArray


def encode_png(pixels: NDArray[np.uint8 | np.uint16]) -> bytes:
    """A PNG of uint8 or uint16, grey (H, W) or RGB (H, W, 3).

    Raises:
        ValueError: if pixels are of another shape.
    """
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    try:
        done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"cannot encode pixels of shape {pixels.shape} as PNG")
    return data.tobytes()
