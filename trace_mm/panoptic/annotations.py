"""One image's panoptic labels in three formats that agree: segments, instances, semantic map."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.coco import encode_rle
from trace_mm.files.panoptic import segments_info
from trace_mm.panoptic.classes import VOID_CLASS, PanopticClasses


def segment_annotations(
    ids: NDArray[np.int32], segment_classes: NDArray[np.int64], classes: PanopticClasses
) -> list[dict[str, Any]]:
    """What COCO files say of the segments of an image.

    Args:
        ids: segment ids (H, W), 0 void, 1 to K.
        segment_classes: (K,), class number of segment i + 1.
        classes: what the class numbers mean.

    Returns:
        For each segment by rising id what a panoptic annotation has of it: ``id``, ``category_id``,
        ``area``, ``bbox``, ``iscrowd``. Things also have a ``segmentation``, compressed RLE:
        without ``id`` they are annotations of instances.

    Raises:
        ValueError: if the map has an id above K.
    """
    categories = {
        number: classes.category_ids[index]
        for number, index in enumerate(segment_classes.tolist(), start=1)
    }
    segments = segments_info(ids, categories)
    for segment in segments:
        if segment_classes[segment["id"] - 1] < classes.num_things:
            segment["segmentation"] = encode_rle(ids == segment["id"])
    return segments


def class_map(ids: NDArray[np.int32], segment_classes: NDArray[np.int64]) -> NDArray[np.int32]:
    """The class number of each pixel, int32 (H, W), -1 where void; see ``segment_annotations``."""
    table = np.concatenate([[VOID_CLASS], segment_classes]).astype(np.int32)  # (K + 1,)
    found: NDArray[np.int32] = table[ids]  # (H, W)
    return found
