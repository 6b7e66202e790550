"""Images whose pixels are numbers of classes or objects, and masks in black and white.

The one reader of such files. They come as grey or palette pixels, as COCO's panoptic colours
R + 256 G + 65536 B, as VOC's colours without their palette, or as grey that was saved as colour.
"""

import io
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from trace_mm.files.images import MAX_PIXELS
from trace_mm.files.palette import voc_palette

VOID = 255
"""What maps of 8 bits hold where nothing is known, as in VOC; in others it is an id like any."""

GREY, DEEP_GREY, PALETTE = "grey", "grey of more than 8 bits", "palette"
GREY_RGB, VOC_COLORS, ID_COLORS = (
    "grey saved as RGB",
    "VOC's colours",
    "colours R + 256 G + 65536 B",
)
DIVISORS = (1000, 256)
"""Where an id is class * divisor + number: Cityscapes' and KITTI's convention."""

_GLANCES = 16  # files of a folder that are looked at
_FEW_IDS = 8  # maps with so many ids at most are never taken for pictures
_MOST_SPECKS, _MOST_ISOLATED = 0.5, 0.1
_SOLID = 5  # side of a block of one value that no soft rim has
_LEAST_PLATEAU = 0.5  # share of pixels that are black or white in a mask with a soft rim


@dataclass(frozen=True)
class IdMap:
    """The ids of an image file.

    Attributes:
        ids: int32 (H, W).
        stored: how the file holds them: "grey", "palette" and so on.
    """

    ids: NDArray[np.int32]
    stored: str

    @property
    def void(self) -> int | None:
        """The id of pixels of which nothing is known; None if there is none."""
        return VOID if self.stored in (GREY, PALETTE, GREY_RGB, VOC_COLORS) else None

    def present(self) -> list[int]:
        """The ids that occur, rising, without background 0 and void."""
        return [value for value in ids_in(self.ids) if value not in (0, self.void)]


@dataclass(frozen=True)
class _Pixels:
    """Pixels as they are stored: (H, W) grey or indices, or (H, W, 3) RGB."""

    values: NDArray[Any]
    palette: NDArray[np.uint8] | None  # (n, 3)
    levels: int  # the largest value that grey can have

    @property
    def is_grey(self) -> bool:
        return self.values.ndim == 2 or bool((self.values == self.values[:, :, :1]).all())


def decode_ids(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Ids of COCO's panoptic colours: R + 256 G + 65536 B.

    Args:
        rgb: uint8 (H, W, 3), RGB.

    Returns:
        int32 (H, W).

    Raises:
        ValueError: if this is no RGB image.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"colours must be uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
    red, green, blue = (rgb[:, :, channel].astype(np.int32) for channel in range(3))
    return red | green << 8 | blue << 16  # (H, W)


def read_id_map(
    path: str | Path, size: tuple[int, int] | None = None, colors: str = "auto"
) -> IdMap:
    """The ids of an image file.

    Args:
        path: grey or palette pixels, whose values or indices count, or colours. Transparent pixels
            are refused, except for "ids".
        size: (H, W) that it must have; other sizes are refused before decoding.
        colors: what RGB pixels mean: "ids" are R + 256 G + 65536 B, "voc" are VOC's colours, "auto"
            is grey if all pixels are, VOC's colours if there are no others, else ids.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, has another size, or holds no ids but a picture.
    """
    pixels = _read_pixels(Path(path), size, opaque=colors != "ids")
    if pixels.values.ndim == 2:
        stored = GREY if pixels.levels <= 255 else DEEP_GREY
        stored = stored if pixels.palette is None else PALETTE
        found = IdMap(pixels.values.astype(np.int32), stored)
    elif colors == "ids":
        return IdMap(decode_ids(pixels.values), ID_COLORS)
    else:
        found = _from_colors(pixels, colors, str(path))
    _check_no_picture(found.ids, str(path))
    return found


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
    pixels = _read_pixels(Path(path), size)
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
        pixels = _read_pixels(Path(path), None)
    except ValueError:
        return None
    if not pixels.is_grey or (pixels.palette is not None and _black_and_white(pixels) is None):
        return None
    shades = _shades(pixels)
    values = [value for value in ids_in(shades) if value]
    if len(values) < 2:
        return values[0] if values else 0
    return VOID if _is_soft(shades, pixels.levels) else None


def ids_in(ids: NDArray[Any]) -> list[int]:
    """All ids of a map (H, W), rising."""
    flat = ids.ravel()
    if flat.size and flat.min() >= 0 and flat.max() < 2**16:
        found: list[int] = np.flatnonzero(np.bincount(flat)).tolist()
        return found
    starts = flat[:1], flat[1:][flat[1:] != flat[:-1]]  # of runs, far fewer than pixels
    return [int(value) for value in np.unique(np.concatenate(starts))]


def folder_colors(paths: Sequence[Path]) -> str:
    """What RGB pixels mean in a folder of maps: "voc" if some of its files show it, else "auto".

    By itself a map that holds nothing but cars in VOC's colours is one of grey 128. Files that
    cannot be read say nothing.

    Args:
        paths: of the maps, of which a few are looked at.
    """
    for found in _some_maps(paths):
        stored = found.stored
        if stored == VOC_COLORS:
            return "voc"
        if stored in (GREY, PALETTE, DEEP_GREY):
            return "auto"
    return "auto"


def _some_maps(paths: Sequence[Path]) -> Iterator[IdMap]:
    """A few maps of a folder; those that cannot be read are left out: reading them says so."""
    for path in paths[:: max(1, len(paths) // _GLANCES)][:_GLANCES]:
        try:
            yield read_id_map(path)
        except (ValueError, OSError):
            continue


def folder_numbering(paths: Sequence[Path]) -> str:
    """What a person should know of a folder of segments whose ids are class * 1000 + number.

    Args:
        paths: of the maps, of which a few are looked at.

    Returns:
        A sentence; empty if the ids number in another way.
    """
    divisor = numbering(found.present() for found in _some_maps(paths))
    if divisor is None:
        return ""
    return (
        f"{paths[0].parent}: ids are class * {divisor} + number of the object; areas of classes "
        "without objects, such as road and sky, are segments too, and their borders count"
    )


def numbering(maps: Iterable[Iterable[int]]) -> int | None:
    """The divisor if the ids of some maps are class * divisor + number of the object.

    It is if the ids of most classes number from 0 or 1 on, and not all ids of the map do so.

    Args:
        maps: the ids of each map, without background and void. Maps without ids of at least the
            divisor say nothing.

    Returns:
        1000 or 256; None if they number in another way, or differ.
    """
    votes: Counter[int | None] = Counter()
    for ids in maps:
        values = sorted(ids)
        if values and values[-1] >= min(DIVISORS):
            votes[_divisor(values)] += 1
    return next(iter(votes)) if len(votes) == 1 else None


def _divisor(values: list[int]) -> int | None:
    if values[-1] == len(values):
        return None  # 1, 2, 3, ...
    for divisor in DIVISORS:
        firsts: dict[int, int] = {}
        for value in values:
            if value >= divisor:
                firsts.setdefault(value // divisor, value % divisor)
        if firsts and sum(first <= 1 for first in firsts.values()) > len(firsts) / 2:
            return divisor
    return None


def _read_pixels(path: Path, size: tuple[int, int] | None, opaque: bool = True) -> _Pixels:
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


def _check_size(image: Image.Image, size: tuple[int, int] | None, path: Path) -> None:
    own = (image.height, image.width)
    if size is not None and own != tuple(size):
        raise _Refused(f"{path}: is {own} (H, W), but the image is {tuple(size)}")
    if not 0 < image.height * image.width <= MAX_PIXELS:
        raise _Refused(f"{path}: a map of {own} (H, W) is too large or empty")


def _pixels_of(image: Image.Image, data: bytes, path: Path, opaque: bool) -> _Pixels:
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
        return _Pixels(values, None, 255)
    if mode == "1":
        return _Pixels(values.astype(np.uint8), None, 1)
    if mode == "P":
        palette = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        return _Pixels(values, palette, 255)
    if mode == "L":
        levels = 2 ** min(depth, 8) - 1
        return _Pixels(values // (255 // levels), None, levels)  # as stored, not as Pillow scales
    if mode == "I" or mode.startswith("I;16"):
        if values.min() < 0:
            raise _Refused(f"{path}: holds the negative number {values.min()}, which is no id")
        return _Pixels(values.astype(np.int32), None, 65535)
    raise _Refused(f"{path}: must hold ids, as grey, palette or RGB pixels, but its mode is {mode}")


def _from_colors(pixels: _Pixels, colors: str, name: str) -> IdMap:
    """The ids of RGB pixels that are not told to be R + 256 G + 65536 B."""
    ids = decode_ids(pixels.values)
    known = set(ids_in(ids))
    is_voc = known <= _voc_colors().keys()
    if colors == "voc" or (is_voc and not pixels.is_grey):
        if not is_voc:
            odd = min(known - _voc_colors().keys())
            raise ValueError(
                f"{name}: the colour {(odd & 255, odd >> 8 & 255, odd >> 16)} is none of VOC's; "
                "maps of classes must be stored without loss and smoothing"
            )
        values = np.array(sorted(known))
        table = np.array([_voc_colors()[value] for value in values.tolist()], dtype=np.int32)
        return IdMap(table[np.searchsorted(values, ids)], VOC_COLORS)
    if pixels.is_grey:
        return IdMap(pixels.values[:, :, 0].astype(np.int32), GREY_RGB)
    return IdMap(ids, ID_COLORS)


@cache
def _voc_colors() -> dict[int, int]:
    """The index of each of VOC's colours, by R + 256 G + 65536 B."""
    colors = decode_ids(voc_palette()[None])[0]
    return {color: index for index, color in enumerate(colors.tolist())}


def _shades(pixels: _Pixels) -> NDArray[Any]:
    """Grey values (H, W) of a mask; of palette images that are not black and white the indices."""
    colored = _black_and_white(pixels)
    if colored is not None:
        return colored
    return pixels.values if pixels.values.ndim == 2 else pixels.values[:, :, 0]


def _black_and_white(pixels: _Pixels) -> NDArray[Any] | None:
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
    filled = _blocks(shades, _SOLID)
    return not ((filled > 0) & (filled < top)).any()


def _blocks(values: NDArray[Any], side: int) -> NDArray[Any]:
    """The values of all square blocks of equal pixels, one for each block."""
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


def _check_no_picture(ids: NDArray[np.int32], name: str) -> None:
    """Refuse a photo, and maps that JPEG or smoothing has spoilt: there most ids are specks."""
    found = ids_in(ids)
    if len(found) <= _FEW_IDS:
        return
    specks = len(found) - len(ids_in(_blocks(ids, 2)))
    if specks > _MOST_SPECKS * len(found) or _isolated_share(ids) > _MOST_ISOLATED:
        raise ValueError(
            f"{name}: holds {len(found)} values, most of them as specks, like a photo, a soft mask "
            "or a map that JPEG or smoothing has spoilt: ids must be stored without loss"
        )


def _isolated_share(ids: NDArray[np.int32]) -> float:
    """Of the pixels that have a neighbour with another id, how many have no other neighbours."""
    same = np.zeros(ids.shape, dtype=np.int8)  # how many neighbours have the pixel's id
    for here, there in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        equal = ids[here] == ids[there]
        same[here] += equal
        same[there] += equal
    inner = same[1:-1, 1:-1]
    border = np.count_nonzero(inner < 4)
    return np.count_nonzero(inner == 0) / border if border else 0.0
