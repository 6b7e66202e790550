"""Masks in black and white, perhaps with soft rims, however they are stored."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.map_pixels import MapPixels, ids_in, read_pixels, square_blocks

_WHITE = 255
_SOLID = 5  # side of a block of one value that no soft rim has
_LEAST_PLATEAU = 0.5  # share of pixels that are black or white in a mask with a soft rim


def read_mask(
    path: str | Path, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.bool_], bool]:
    """A mask that is 0 outside and has one other value inside, perhaps with a soft rim.

    Of palette images with black and white only, the colours count, else the indices. A soft rim,
    as smoothing leaves it between 0 and the largest value, is cut at half of that.

    Returns:
        The mask, bool (H, W), and whether its rim was soft.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, has another size, or is not black and white.
    """
    pixels = read_pixels(Path(path), size)
    if not pixels.is_grey:
        raise ValueError(f"{path}: a mask must be black and white, but has colours")
    shades = _shades(pixels)
    values = [value for value in ids_in(shades) if value]
    if len(values) < 2:
        return shades > 0, False
    if not _is_soft(shades, pixels.levels):
        raise ValueError(
            f"{path}: a mask must have one value besides 0, or a soft rim, but has {len(values)}, "
            f"{values[0]} to {values[-1]}"
        )
    return shades > values[-1] // 2, True


def mask_value(path: str | Path) -> int | None:
    """What a mask in black and white has inside: 0 if it is empty, 255 if its rim is soft.

    Returns:
        None if it is none, or a palette image with other colours than black and white.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    try:
        pixels = read_pixels(Path(path), None)
    except ValueError:
        return None
    if not pixels.is_grey or (pixels.palette is not None and _black_and_white(pixels) is None):
        return None
    shades = _shades(pixels)
    values = [value for value in ids_in(shades) if value]
    if len(values) < 2:
        return values[0] if values else 0
    return _WHITE if _is_soft(shades, pixels.levels) else None


def _shades(pixels: MapPixels) -> NDArray[Any]:
    """Grey values (H, W) of a mask; of palette images that are not black and white the indices."""
    colored = _black_and_white(pixels)
    if colored is not None:
        return colored
    return pixels.values if pixels.values.ndim == 2 else pixels.values[:, :, 0]


def _black_and_white(pixels: MapPixels) -> NDArray[Any] | None:
    """Grey values of a palette image that uses no colours but greys from black to white."""
    if pixels.palette is None:
        return None
    used = ids_in(pixels.values)
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(pixels.palette)] = pixels.palette
    colors = table[used]  # (n, 3)
    is_grey = (colors == colors[:, :1]).all()
    ends = {0, 255} & set(colors[:, 0].tolist())
    if not is_grey or not ends or (len(used) == 2 and len(ends) < 2):
        return None
    return table[pixels.values][:, :, 0]


def _is_soft(shades: NDArray[Any], levels: int) -> bool:
    """Whether grey values (H, W) are black and white with a soft rim.

    Most are near 0 or the largest, which is bright. Between them are many, some of them halfway,
    and none of them fills a block of pixels, as the number of a class does.
    """
    top = int(shades.max())
    between = np.array([value for value in ids_in(shades) if 0 < value < top])
    if 2 * top <= levels or shades.min() > 0 or not len(between):
        return False
    halfway = (between >= top / 4) & (between <= 3 * top / 4)
    plateaus = np.count_nonzero((shades <= 0.04 * top) | (shades >= 0.96 * top))
    if 8 * halfway.sum() < len(between) or plateaus < _LEAST_PLATEAU * shades.size:
        return False
    filled = square_blocks(shades, _SOLID)
    return not ((filled > 0) & (filled < top)).any()
