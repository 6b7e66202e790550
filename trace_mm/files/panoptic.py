"""Segment ids as the colours of a PNG, COCO's panoptic format."""

import io
import reprlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files.coco import mask_box
from trace_mm.files.id_maps import ID_COLORS, read_id_map
from trace_mm.files.map_pixels import ids_in

VOID = 0
"""Id of the pixels that belong to no segment."""

MAX_ID = 2**24 - 1
"""The largest id that a colour can hold."""


def encode_ids(ids: NDArray[Any]) -> NDArray[np.uint8]:
    """Segment ids as colours: id = R + 256 G + 65536 B.

    Args:
        ids: (H, W), whole numbers in 0 to 2^24 - 1.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ValueError: if the map is not one of such ids.
    """
    _check_ids(ids)
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) <= MAX_ID:
        raise ValueError(
            f"segment ids must lie in 0 to {MAX_ID}, there are {ids.min()} to {ids.max()}"
        )
    ids = ids.astype(np.int32)
    channels = [ids & 255, ids >> 8 & 255, ids >> 16]  # 3 * (H, W)
    return np.stack(channels, axis=2).astype(np.uint8)  # (H, W, 3)


def panoptic_png(ids: NDArray[Any]) -> bytes:
    """A PNG file of segment ids (H, W); the same ids give the same bytes.

    Raises:
        ValueError: as ``encode_ids``, or if the map is empty.
    """
    rgb = encode_ids(ids)  # (H, W, 3)
    if not rgb.size:
        raise ValueError(f"an image must have pixels, its shape is {ids.shape}")
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG", compress_level=6)
    return file.getvalue()


def read_panoptic_png(path: str | Path, size: tuple[int, int] | None = None) -> NDArray[np.int32]:
    """Segment ids of a panoptic PNG.

    Args:
        path: an RGB image file, see :func:`trace_mm.files.id_maps.read_id_map`.
        size: (H, W) that it must have, if known.

    Returns:
        int32 (H, W), 0 is void.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a readable image, has no colours, or is of another size; names the
            file.
    """
    found = read_id_map(path, size, colors="ids")
    if found.stored != ID_COLORS:
        raise ValueError(f"{path}: must hold segment ids as RGB colours, but holds {found.stored}")
    return found.ids


def segment_ids(ids: NDArray[Any]) -> list[int]:
    """The ids that a map (H, W) holds, rising, without void.

    Raises:
        ValueError: if this is no map of whole numbers.
    """
    _check_ids(ids)
    return [number for number in ids_in(ids) if number != VOID]


def segments_info(
    ids: NDArray[Any], categories: Mapping[int, int], crowds: Collection[int] = ()
) -> list[dict[str, Any]]:
    """What a panoptic annotation says of the segments of one image.

    Args:
        ids: segment ids (H, W), 0 is void.
        categories: category id of each segment id; ids that no pixel has are left out.
        crowds: the segment ids that are crowds.

    Returns:
        Dicts of ``id``, ``category_id``, ``area``, ``bbox`` [x, y, width, height] and ``iscrowd``,
        all whole numbers, by rising id.

    Raises:
        ValueError: if an id of the map has no category.
    """
    present = segment_ids(ids)
    missing = [number for number in present if number not in categories]
    if missing:
        raise ValueError(f"segments without a category: {reprlib.repr(missing)}")
    segments = []
    for number in present:
        mask = ids == number  # (H, W)
        segments.append(
            {
                "id": number,
                "category_id": int(categories[number]),
                "area": int(np.count_nonzero(mask)),
                "bbox": mask_box(mask),
                "iscrowd": int(number in crowds),
            }
        )
    return segments


def _check_ids(ids: NDArray[Any]) -> None:
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(f"segment ids must be whole numbers (H, W), got {ids.dtype} {ids.shape}")
