"""Images whose pixels are numbers of classes or objects.

The one reader of such files. They come as grey or palette pixels, as COCO's panoptic colours
R + 256 G + 65536 B, as VOC's colours without their palette, or as grey that was saved as colour.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.map_pixels import MapPixels, ids_in, read_pixels, square_blocks
from trace_mm.files.members import AnyFile, as_file
from trace_mm.files.palette import voc_palette

VOID = 255
"""What maps of 8 bits hold where nothing is known, as in VOC; in others it is an id like any."""

DEEP_VOID = 65535
"""What maps of 16 bits hold there, as Mask2Former writes those of ADE20K's 847 classes."""

GREY, DEEP_GREY, PALETTE = "grey", "grey of more than 8 bits", "palette"
GREY_RGB, VOC_COLORS, ID_COLORS = (
    "grey saved as RGB",
    "VOC's colours",
    "colours R + 256 G + 65536 B",
)
DIVISORS = (1000, 256)
"""Where an id is class * divisor + number: Cityscapes' and KITTI's convention."""

_Path = TypeVar("_Path")
_GLANCES = 16  # files of a folder that are looked at
_FEW_IDS = 8  # maps with so many ids at most are never taken for pictures
_MOST_SPECKS, _MOST_ISOLATED = 0.5, 0.1


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
        if self.stored == DEEP_GREY:
            return DEEP_VOID
        return None if self.stored == ID_COLORS else VOID

    def present(self) -> list[int]:
        """The ids that occur, rising, without background 0 and void."""
        return [value for value in ids_in(self.ids) if value not in (0, self.void)]


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
    path: str | AnyFile, size: tuple[int, int] | None = None, colors: str = "auto"
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
    pixels = read_pixels(as_file(path), size, opaque=colors != "ids")
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


def folder_colors(paths: Sequence[AnyFile]) -> str:
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


def glances(paths: Sequence[_Path]) -> Sequence[_Path]:
    """The few of many maps that are looked at, spread evenly."""
    return paths[:: max(1, len(paths) // _GLANCES)][:_GLANCES]


def _some_maps(paths: Sequence[AnyFile]) -> Iterator[IdMap]:
    """A few maps of a folder; those that cannot be read are left out: reading them says so."""
    for path in glances(paths):
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


def _from_colors(pixels: MapPixels, colors: str, name: str) -> IdMap:
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


def _check_no_picture(ids: NDArray[np.int32], name: str) -> None:
    """Refuse a photo, and maps that JPEG or smoothing has spoilt: there most ids are specks."""
    found = ids_in(ids)
    if len(found) <= _FEW_IDS:
        return
    specks = len(found) - len(ids_in(square_blocks(ids, 2)))
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
