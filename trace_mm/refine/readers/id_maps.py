"""Images whose pixels are ids rather than colours."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from trace_mm.files.images import MAX_PIXELS
from trace_mm.refine.readers.base import BadMaskError

VOID = 255
"""What VOC and those who follow it write where nothing is known."""

_ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")


def read_ids(path: Path, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """Ids of a grey or palette image: its values or indices as they are.

    Args:
        path: the image file.
        size: (H, W) of the photo, which the map must have; None for any.

    Returns:
        integers or bool (H, W).

    Raises:
        BadMaskError: if it cannot be read, holds colours, or is of another size.
    """
    pixels, mode = _read_pixels(path, size)
    if mode not in _ID_MODES:
        raise BadMaskError(f"{path}: must hold ids, as grey or palette pixels, but is {mode}")
    return pixels


def read_color_ids(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.int32]:
    """Ids of a COCO panoptic image, R + 256 G + 65536 B; see ``read_ids``.

    Returns:
        int32 (H, W).
    """
    pixels, mode = _read_pixels(path, size)
    if mode not in ("RGB", "RGBA"):
        raise BadMaskError(f"{path}: must hold ids as RGB colours, but is {mode}")
    return pixels[:, :, :3].astype(np.int32) @ np.array([1, 256, 65536], dtype=np.int32)  # (H, W)


def read_binary(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """A mask that is an image of one or two values, one of them 0; see ``read_ids``.

    Returns:
        bool (H, W).
    """
    pixels, mode = _read_pixels(path, size)
    if mode == "RGB" and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, 0]  # grey that was saved as colour
    elif mode not in _ID_MODES:
        raise BadMaskError(f"{path}: a mask must be black and white, but is {mode}")
    mask: NDArray[np.bool_] = pixels != 0
    values = pixels[mask]
    if values.size and values.min() != values.max():
        raise BadMaskError(
            f"{path}: a mask must have one value besides 0, but has {values.min()} to "
            f"{values.max()}"
        )
    return mask


def is_black_and_white(path: Path) -> bool:
    """Whether a file is a mask in black and white, and no palette image."""
    try:
        _, mode = _read_pixels(path, None)
        return mode != "P" and bool(read_binary(path).size)
    except BadMaskError:
        return False


def _read_pixels(path: Path, size: tuple[int, int] | None) -> tuple[NDArray[Any], str]:
    """Pixels (H, W) or (H, W, C) and Pillow's mode; other sizes are refused before decoding."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadMaskError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: names that no file can have
        raise BadMaskError(f"{path}: cannot be read: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised
            with Image.open(io.BytesIO(data)) as image:
                own_size = (image.height, image.width)
                if size is None and not 0 < image.height * image.width <= MAX_PIXELS:
                    raise BadMaskError(f"{path}: a map of {own_size} (H, W) is too large or empty")
                if size is not None and own_size != size:
                    raise BadMaskError(f"{path}: is {own_size} (H, W), but the image is {size}")
                return np.asarray(image), image.mode
    except BadMaskError:
        raise
    except UnidentifiedImageError:
        raise BadMaskError(f"{path}: not an image, or of an unknown format") from None
    except Exception as error:  # decoders raise many kinds on damaged data
        raise BadMaskError(f"{path}: damaged image: {error}") from error
