"""Semantic maps as PNG files in VOC's colours."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def semantic_png(ids: NDArray[Any]) -> bytes:
    """A PNG file of a semantic map; the same ids give the same bytes.

    Args:
        ids: (H, W), uint8 for a palette image in VOC's colours, uint16 for a grey one of 16 bits.

    Raises:
        ValueError: if it is of another type or shape, or empty.
    """
    if ids.ndim != 2 or not ids.size or ids.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"a semantic map must be uint8 or uint16 (H, W), got {ids.dtype} {ids.shape}"
        )
    image = Image.fromarray(np.ascontiguousarray(ids))
    if ids.dtype == np.uint8:
        image.putpalette(voc_palette().tobytes())  # makes it a palette image
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def voc_palette() -> NDArray[np.uint8]:
    """The colours of VOC's maps, uint8 (256, 3) RGB: the bits of the index, dealt in turn."""
    index = np.arange(256)
    colors = np.zeros((256, 3), dtype=np.uint8)
    for place in range(8):
        for channel in range(3):
            bit = index >> (3 * place + channel) & 1  # (256,)
            colors[:, channel] |= (bit << (7 - place)).astype(np.uint8)
    return colors
