"""Tiles in which small objects are seen at a scale at which the model can tell them apart.

A model compares tokens, and an object of two or three of them has no inside (paper, App. E.4, where
edges fail on satellites). Cut into small tiles, each shown to the model like an image, objects
cover more.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_module
from trace_mm.models.options import tile_side
from trace_mm.runs.group import note_once

if TYPE_CHECKING:
    from torch import Tensor

    from trace_mm.ops import object_scale
else:
    object_scale = lazy_module("trace_mm.ops.object_scale")

ObjectSize = float | str
"""Pixels of the smallest objects that matter, from side to side, or "auto"."""

LEAST_TOKENS = 6
"""So many tokens a side shall the smallest object cover."""

SMALLEST_SHARE = 0.6
"""The smallest objects that matter are of this share of the usual ones' size, where images say it.
So large or larger are 86 of 100 nuclei in the middle one of 44 images, and 67 in nine of ten."""

_LEAST_TILE = 16  # pixels: less shows nothing but noise


@dataclass(frozen=True)
class ObjectTiles:
    """How images are cut, and how their parts are shown.

    Attributes:
        tile: side of a tile in the image's pixels.
        enlargement: so many times as large, a side, the model is shown a tile; below 1 it is shown
            smaller.
        tokens: that the object covers a side.
    """

    tile: int
    enlargement: float
    tokens: float


def tiles_for_objects(object_size: float, size: int, token: int) -> ObjectTiles:
    """The largest tiles in which an object covers ``LEAST_TOKENS`` tokens a side.

    The model sees about ``size / token / LEAST_TOKENS`` such objects side by side in a tile. An
    image that is smaller than a tile is shown whole, in which the object covers at least as many.

    Args:
        object_size: of the smallest object, from side to side, in the image's pixels.
        size: side in pixels of the square area at which the model is shown an image or a tile.
        token: side of a token in pixels of what is shown.

    Raises:
        ValueError: if a number is not positive, or the object so small that tiles would be of less
            than 16 pixels.
    """
    if not (math.isfinite(object_size) and object_size > 0 and size > 0 and token > 0):
        raise ValueError(
            f"object_size, size and token must be positive, got {object_size}, {size} and {token}"
        )
    tile = int(object_size * size / (LEAST_TOKENS * token))
    if tile < _LEAST_TILE:
        raise ValueError(
            f"objects of {object_size:g} pixels are too small for this model: at {size} pixels it "
            f"takes {_least_size(size, token):.1f} or more, or a larger size"
        )
    return ObjectTiles(tile, size / tile, object_size * size / tile / token)


def _least_size(size: int, token: int) -> float:
    return _LEAST_TILE * LEAST_TOKENS * token / size


def tiles_for_image(image: "Tensor", size: int, token: int) -> ObjectTiles | None:
    """The tiles for the smallest usual objects of an image, found by the image alone.

    Args:
        image: (3, H, W) in [0, 1].
        size: see :func:`tiles_for_objects`.
        token: likewise.

    Returns:
        None if the image has no usual size of objects, see
        :func:`trace_mm.ops.usual_object_size`. What is too small for the model is read in the
        smallest tiles.
    """
    usual = object_scale.usual_object_size(image)
    if usual is None:
        return None
    return tiles_for_objects(max(usual * SMALLEST_SHARE, _least_size(size, token)), size, token)


def check_one_choice(object_size: ObjectSize | None, tile: int | str | None) -> None:
    """Refuse a size of tiles beside one of objects, and a size that is none.

    Raises:
        ValueError: if both are given, or ``object_size`` is a word other than "auto".
    """
    if object_size is not None and tile is not None:
        raise ValueError(
            f"object_size chooses the tiles: tile={tile!r} (--tile) has no effect beside it"
        )
    if isinstance(object_size, str) and object_size != "auto":
        raise ValueError(f"object_size must be a number of pixels or 'auto', got {object_size!r}")


class Tiling:
    """How a model cuts the images that it is shown.

    Args:
        object_size: pixels of the smallest object, "auto" to find them in each image, or None.
        tile: side of tiles in pixels; "auto" is ``size``; None for none.
        size: see :func:`tiles_for_objects`.
        token: likewise.

    Attributes:
        tile: the side of tiles that all images have; None if there are none, or each image its own.
        enlargement: so many times as large, a side, such tiles are shown; None if nothing is
            known of objects.

    Raises:
        ValueError: see :func:`tiles_for_objects`; or if there is a size of tiles as well.
    """

    def __init__(
        self, object_size: ObjectSize | None, tile: int | str | None, size: int, token: int
    ) -> None:
        check_one_choice(object_size, tile)
        self._size, self._token = size, token
        self._by_image = object_size == "auto"
        self.enlargement: float | None = None
        self.tile = tile_side(tile, size)
        if self._by_image:
            note_once(
                f"images in which many objects are of one size are read in tiles, each shown at "
                f"{size} x {size}, so that such an object covers {LEAST_TOKENS / SMALLEST_SHARE:g} "
                "tokens; others as they are"
            )
        elif object_size is not None:
            found = tiles_for_objects(float(object_size), size, token)
            self.tile, self.enlargement = found.tile, found.enlargement
            note_once(
                f"objects of {object_size:g} pixels: images are read in tiles of {found.tile} "
                f"pixels, each shown at {size} x {size}, so that such an object covers "
                f"{found.tokens:.1f} tokens"
            )

    def of(self, image: "Tensor") -> tuple[int | None, float | None]:
        """How an image (3, H, W) is read.

        Returns:
            The side of its tiles, None if it is read as a whole; and how many times as large, a
            side, it or they are to be shown at least, None if nothing is known of objects.
        """
        tile, enlargement = self.tile, self.enlargement
        if self._by_image:
            found = tiles_for_image(image, self._size, self._token)
            if found is None:
                return None, None
            tile, enlargement = found.tile, found.enlargement
        cut = tile is not None and max(image.shape[1:]) > tile
        return tile if cut else None, enlargement
