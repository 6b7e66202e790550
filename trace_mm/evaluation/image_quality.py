"""Panoptic quality of detected masks in each image, averaged over images.

So papers on microscopy count it: all instances are of one class, and what none covers is known to
hold none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from trace_mm.evaluation.detections import Detection
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.evaluation.panoptic_quality import (
    ImageQuality,
    count_segments,
    mean_image_quality,
)
from trace_mm.files.json_values import ImageId
from trace_mm.files.panoptic import VOID

_BACKGROUND, _INSTANCE = 0, 1  # categories


def image_quality_of_instances(
    truth: InstanceGroundTruth,
    found: Mapping[ImageId, Sequence[Detection]],
    image_ids: Iterable[ImageId],
) -> ImageQuality | None:
    """Panoptic quality of detected masks, image by image, without regard to class.

    A panoptic map shows one instance a pixel. Of true instances the smaller is in front, of
    detections the one with the higher score; one that nothing is left of does not count. What no
    true instance covers is background, where detections are false; crowds and ``void_segmentation``
    are as in :func:`trace_mm.evaluation.count_segments`.

    Args:
        truth: with masks.
        found: detections of each image, by falling score.
        image_ids: the images that count.

    Returns:
        None if no image has an instance.
    """
    counts = []
    for key in image_ids:
        size = truth.sizes[key]
        instances = sorted(truth.instances[key], key=lambda one: (not one.crowd, -_area(one.rle)))
        crowds = [number for number, one in enumerate(instances, start=1) if one.crowd]
        true_ids = _painted([one.rle for one in instances], size)
        if key in truth.void:
            true_ids[(mask_utils.decode(truth.void[key]) > 0) & (true_ids > len(instances))] = VOID
        detections = found[key]
        found_ids = _painted([one.rle for one in reversed(detections)], size)
        present = {*np.unique(found_ids).tolist()}
        counts.append(
            count_segments(
                true_ids,
                _categories(len(instances)),
                found_ids,
                {
                    number: category
                    for number, category in _categories(len(detections)).items()
                    if number in present
                },
                crowds,
            )
        )
    return mean_image_quality(counts, {_INSTANCE})


def _painted(masks: Sequence[Any], size: tuple[int, int]) -> NDArray[np.int32]:
    """Numbers from 1 in the order of masks (RLE), each in front of those before; then the rest."""
    ids = np.full(size, len(masks) + 1, dtype=np.int32)
    for number, rle in enumerate(masks, start=1):
        ids[mask_utils.decode(rle) > 0] = number
    return ids


def _categories(count: int) -> dict[int, int]:
    """The category of each number of :func:`_painted`."""
    return {**dict.fromkeys(range(1, count + 1), _INSTANCE), count + 1: _BACKGROUND}


def _area(rle: Any) -> int:
    return int(mask_utils.area(rle))
