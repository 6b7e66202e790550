"""Masks as COCO writes them.

``pycocotools`` trusts what it decodes: runs that do not fill the mask, or a text that breaks off,
make it read or write outside its memory. Here RLE is decoded in numpy, and only after it has been
found to fill the mask exactly; polygons are checked before ``pycocotools`` draws them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from trace_mm.files.images import MAX_PIXELS
from trace_mm.files.json_values import as_integer, describe

_TRIANGLE = 6  # numbers of the least polygon
_MAX_DIGITS = 6  # of 5 bits; what a signed difference of two runs of at most MAX_PIXELS needs


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask (H, W) as compressed RLE of JSON values: ``size`` [H, W] and ``counts`` as text."""
    encoded = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode()}


def mask_box(mask: NDArray[np.bool_]) -> list[int]:
    """The box [x, y, width, height] around a mask (H, W); of an empty one all zeros."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return [0, 0, 0, 0]
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def instance_annotation(mask: NDArray[np.bool_], category_id: int = 1) -> dict[str, Any]:
    """What a COCO annotation says of a mask (H, W): RLE, box, area, category, no crowd.

    The ids of annotation and image are the caller's to add.
    """
    return {
        "category_id": category_id,
        "segmentation": encode_rle(mask),
        "bbox": mask_box(mask),
        "area": int(np.count_nonzero(mask)),
        "iscrowd": 0,
    }


def decode_segmentation(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask bool (H, W) of a COCO ``segmentation``; see :func:`segmentation_rle`."""
    _check_size(size)
    if isinstance(segmentation, dict):
        return decode_rle(segmentation, size)
    return decode_rle(segmentation_rle(segmentation, size), size)


def segmentation_rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """A COCO ``segmentation``, polygons or RLE, as compressed RLE that pycocotools can trust.

    Args:
        segmentation: as in a COCO file; anything that is not a segmentation is refused.
        size: (H, W) of the image. RLE holds its own size, which must be the same; sizes in the
            JSON's ``images`` are not looked at, since some tools write them wrongly.

    Returns:
        ``size`` [H, W] and ``counts`` as bytes.

    Raises:
        ValueError: if the RLE is for another size or damaged, a polygon is not one, or there is
            neither RLE nor polygon.
    """
    _check_size(size)
    if isinstance(segmentation, list) and segmentation:
        return _polygon_rle(segmentation, size)
    if not isinstance(segmentation, dict):
        raise ValueError("segmentation holds neither polygons nor RLE")
    counts = segmentation.get("counts")
    if isinstance(counts, str) and counts.isascii():
        counts = counts.encode("ascii")
    if isinstance(counts, bytes) and _rle_size(segmentation) == size:
        _check_total(run_lengths(counts), size)
        return {"size": list(size), "counts": counts}
    encoded = encode_rle(decode_rle(segmentation, size))
    return {"size": encoded["size"], "counts": encoded["counts"].encode("ascii")}


def decode_rle(rle: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of a run-length encoding: ``size`` [H, W] and ``counts``, a text or a list.

    Args:
        rle: the runs go down the columns, from left to right, and begin with background.
        size: (H, W) of the image, which the RLE must be for.

    Returns:
        bool (H, W).

    Raises:
        ValueError: if it is for another size, or its runs do not fill that size exactly.
    """
    height, width = size
    own_size = _rle_size(rle)
    if own_size != size:
        hint = "; is the image turned by its EXIF data?" if own_size == size[::-1] else ""
        raise ValueError(f"RLE is for {own_size} (H, W), but the image is {size}{hint}")
    counts = rle.get("counts")
    if isinstance(counts, str):
        try:
            counts = counts.encode("ascii")
        except UnicodeEncodeError:
            raise ValueError("counts of the RLE hold characters that do not occur in RLE") from None
    runs = run_lengths(counts) if isinstance(counts, bytes) else _listed_runs(counts)
    _check_total(runs, size)
    colors = np.zeros(len(runs), dtype=bool)
    colors[1::2] = True
    return np.repeat(colors, runs).reshape(width, height).T  # (H, W), stored by columns


def run_lengths(counts: bytes) -> NDArray[np.int64]:
    """Run lengths of a compressed RLE.

    A character holds 5 bits of a number, lowest first, and a bit that says whether more follow;
    from the fourth number on, each is the difference to the last but one.

    Args:
        counts: the ``counts`` of COCO's compressed RLE.

    Returns:
        int64 (R,), none negative; each and all together can be checked without overflow.

    Raises:
        ValueError: if this is no such text.
    """
    digits = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if not len(digits):
        return np.zeros(0, dtype=np.int64)
    if digits.min() < 0 or digits.max() > 63:
        raise ValueError("counts of the RLE hold characters that do not occur in RLE")
    ends = np.flatnonzero(digits < 32)  # of each number: nothing follows
    if not len(ends) or ends[-1] != len(digits) - 1:
        raise ValueError("counts of the RLE break off within a number")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MAX_DIGITS:
        raise ValueError(f"RLE is damaged: a run is longer than {MAX_PIXELS} pixels")
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & 31) << (5 * place), starts)
    numbers -= np.where(digits[ends] & 16, np.int64(1) << (5 * lengths), 0)  # two's complement
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return _checked_runs(numbers)


def _polygon_rle(polygons: Sequence[Any], size: tuple[int, int]) -> dict[str, Any]:
    """RLE of an object's polygons, which may lie apart.

    A polygon is a list [x0, y0, x1, y1, ...] in pixels, which may reach somewhat out of the image.
    Fewer than three corners enclose nothing: beside others they are left out, as by pycocotools,
    and alone they are refused, since four numbers may be a box.
    """
    listed = [_corners(polygon, size) for polygon in polygons]
    drawn = [corners.tolist() for corners in listed if len(corners) >= _TRIANGLE]
    if not drawn:
        longest = max(map(len, listed))
        raise ValueError(
            f"segmentation has no polygon of three corners or more, only {longest} numbers: "
            f"{describe(polygons)}; a box is written as bbox, or as a polygon of its four corners"
        )
    return dict(mask_utils.merge(mask_utils.frPyObjects(drawn, *size)))


def _rle_size(rle: dict[str, Any]) -> tuple[int, int]:
    sides = rle.get("size")
    numbers = [as_integer(side) for side in sides] if isinstance(sides, (list, tuple)) else []
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        raise ValueError(f"size of the RLE must be [H, W], got {describe(sides)}")
    return numbers[0], numbers[1]


def _check_size(size: tuple[int, int]) -> None:
    height, width = size
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"a mask of {size} (H, W): it must have 1 to {MAX_PIXELS} pixels")


def _listed_runs(counts: Any) -> NDArray[np.int64]:
    """Run lengths of an uncompressed RLE."""
    if not isinstance(counts, list):
        raise ValueError(f"counts of the RLE must be text or a list, got {describe(counts)}")
    try:
        numbers = np.array(counts)
    except (ValueError, OverflowError):  # lists of different lengths
        numbers = np.array("no numbers")
    if not len(counts):
        return np.zeros(0, dtype=np.int64)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise ValueError("counts of the RLE must be whole numbers")
    if not np.all((numbers >= 0) & (numbers <= MAX_PIXELS) & (numbers == np.floor(numbers))):
        raise ValueError("RLE is damaged: its runs must be whole numbers that fit the mask")
    return _checked_runs(numbers.astype(np.int64))


def _checked_runs(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(runs) and (runs.min() < 0 or runs.max() > MAX_PIXELS):
        raise ValueError(
            f"RLE is damaged: runs must be of 0 to {MAX_PIXELS} pixels, there are {runs.min()} to "
            f"{runs.max()}"
        )
    return runs


def _check_total(runs: NDArray[np.int64], size: tuple[int, int]) -> None:
    total, pixels = int(runs.sum()), size[0] * size[1]
    if total != pixels:
        raise ValueError(
            f"RLE is damaged: its runs add up to {total} pixels, the mask has {pixels}"
        )


def _corners(polygon: Any, size: tuple[int, int]) -> NDArray[np.float64]:
    """(2 * corners,): x0, y0, x1, y1, ..."""
    if not isinstance(polygon, (list, tuple, np.ndarray)) or not all(
        issubclass(kind, (int, float, np.number)) and kind is not bool
        for kind in {*map(type, polygon)}
    ):
        raise ValueError(f"a polygon must be a list of numbers, got {describe(polygon)}")
    try:
        corners = np.array(polygon, dtype=np.float64)
    except OverflowError:  # whole numbers beyond float64
        corners = np.array([np.inf, np.inf])
    if len(corners) % 2:
        raise ValueError(f"a polygon has {len(corners)} numbers, which are no pairs x, y")
    reach = max(size)
    if not np.all((corners >= -reach) & (corners <= 2 * reach)):  # also false for nan
        raise ValueError(
            f"a polygon reaches far out of the image, which is {size} (H, W), or is not finite: "
            f"{describe(polygon)}"
        )
    return corners
