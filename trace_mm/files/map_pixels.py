"""Pixels of maps and masks as they are stored: grey values, palette indices or colours."""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from trace_mm.files.images import MAX_PIXELS
from trace_mm.files.members import AnyFile


@dataclass(frozen=True)
class MapPixels:
    """Pixels as they are stored: (H, W) grey or indices, or (H, W, 3) RGB."""

    values: NDArray[Any]
    palette: NDArray[np.uint8] | None  # (n, 3)
    levels: int  # the largest value that grey can have

    @property
    def is_grey(self) -> bool:
        """Whether no pixel has a colour; of palette images the indices are looked at."""
        return self.values.ndim == 2 or bool((self.values == self.values[:, :, :1]).all())


def ids_in(ids: NDArray[Any]) -> list[int]:
    """All ids of a map (H, W), rising."""
    flat = ids.ravel()
    if flat.size and flat.min() >= 0 and flat.max() < 2**16:
        found: list[int] = np.flatnonzero(np.bincount(flat)).tolist()
        return found
    starts = flat[:1], flat[1:][flat[1:] != flat[:-1]]  # of runs, far fewer than pixels
    return [int(value) for value in np.unique(np.concatenate(starts))]


def square_blocks(values: NDArray[Any], side: int) -> NDArray[Any]:
    """The values of all square blocks of equal pixels (H, W), one for each block."""
    height, width = values.shape[0] - side + 1, values.shape[1] - side + 1
    if height < 1 or width < 1:
        return values[:0, :0]
    first = values[:height, :width]
    same = np.ones(first.shape, dtype=bool)
    for row in range(side):
        for column in range(side):
            if row or column:
                same &= values[row : row + height, column : column + width] == first
    return first[same]


def read_pixels(path: AnyFile, size: tuple[int, int] | None, opaque: bool = True) -> MapPixels:
    """The pixels of an image file.

    Args:
        path: the file.
        size: (H, W) that it must have; other sizes are refused before decoding.
        opaque: refuse transparent pixels; else alpha is dropped.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, has another size, or pixels of another kind.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: names that no file can have
        raise ValueError(f"{path}: cannot be read: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised
            with Image.open(io.BytesIO(data)) as image:
                _check_size(image, size, path)
                return _pixels_of(image, data, path, opaque)
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image, or of an unknown format") from None
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # decoders raise many kinds on damaged data
        raise ValueError(f"{path}: damaged image: {error}") from error


class _Refused(Exception):
    """A sound image that is no map."""


def _check_size(image: Image.Image, size: tuple[int, int] | None, path: AnyFile) -> None:
    own = (image.height, image.width)
    if size is not None and own != tuple(size):
        raise _Refused(f"{path}: is {own} (H, W), but the image is {tuple(size)}")
    if not 0 < image.height * image.width <= MAX_PIXELS:
        raise _Refused(f"{path}: a map of {own} (H, W) is too large or empty")


def _pixels_of(image: Image.Image, data: bytes, path: AnyFile, opaque: bool) -> MapPixels:
    depth = data[24] if image.format == "PNG" else 8  # IHDR: width and height, then the bit depth
    mode = image.mode
    values = np.asarray(image)
    if mode in ("LA", "RGBA"):
        if opaque and (values[:, :, -1] != 255).any():
            raise _Refused(
                f"{path}: holds transparent pixels ({mode}); ids and masks must be opaque grey, "
                "palette or RGB pixels"
            )
        values = values[:, :, 0] if mode == "LA" else values[:, :, :3]
        mode = mode[:-1]
    if mode == "RGB":
        if depth > 8:
            raise _Refused(f"{path}: holds colours of 16 bits, which mean no ids")
        return MapPixels(values, None, 255)
    if mode == "1":
        return MapPixels(values.astype(np.uint8), None, 1)
    if mode == "P":
        palette = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        return MapPixels(values, palette, 255)
    if mode == "L":
        levels = 2 ** min(depth, 8) - 1
        return MapPixels(values // (255 // levels), None, levels)  # as stored, not as Pillow scales
    if mode == "I" or mode.startswith("I;16"):
        if values.min() < 0:
            raise _Refused(f"{path}: holds the negative number {values.min()}, which is no id")
        return MapPixels(values.astype(np.int32), None, 65535)
    raise _Refused(f"{path}: must hold ids, as grey, palette or RGB pixels, but its mode is {mode}")
