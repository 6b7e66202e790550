"""Which images hold instances of one class that touch: where Problem A of the paper can occur."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from trace_mm.evaluation.instance_ground_truth import TrueInstance

_Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are outside


def has_touching_instances(instances: Sequence[TrueInstance], distance: int = 2) -> bool:
    """Whether two instances of one class touch or overlap (paper, App. B.4, Problem A).

    They touch if a pixel of one lies within ``distance`` of a pixel of the other, horizontally and
    vertically: 1 means that they are 8-neighbours, 2 that at most one pixel lies between.
    Crowds do not count. An annotation without a mask counts as its box.

    Args:
        instances: of one image.
        distance: in pixels, at least 0; 0 asks for overlap.

    Raises:
        ValueError: if the distance is negative.
    """
    if distance < 0:
        raise ValueError(f"the touch distance must not be negative, got {distance}")
    by_category: dict[Any, list[TrueInstance]] = defaultdict(list)
    for instance in instances:
        if not instance.crowd:
            by_category[instance.category].append(instance)
    return any(_any_touch(group, distance) for group in by_category.values() if len(group) > 1)


def _any_touch(instances: Sequence[TrueInstance], distance: int) -> bool:
    boxes = [_pixel_box(instance) for instance in instances]
    masks: dict[int, NDArray[np.uint8]] = {}  # within their boxes, decoded when needed
    for first in range(len(instances)):
        for second in range(first):
            window = _overlap(_grown(boxes[first], distance), boxes[second])
            if window is None:
                continue
            for index in (first, second):
                if index not in masks:
                    masks[index] = _cropped_mask(instances[index], boxes[index])
            # What of the second lies near the first's box, and the first around it.
            theirs = _cut(masks[second], boxes[second], window)
            ours = _cut(masks[first], boxes[first], _grown(window, distance))
            kernel = np.ones((2 * distance + 1, 2 * distance + 1), dtype=np.uint8)
            height, width = theirs.shape
            near = cv2.dilate(ours, kernel)[
                distance : distance + height, distance : distance + width
            ]
            if np.any((near > 0) & (theirs > 0)):
                return True
    return False


def _pixel_box(instance: TrueInstance) -> _Box:
    """The pixels that an instance lies in; of an empty mask, none."""
    box = instance.box if instance.rle is None else mask_utils.toBbox(instance.rle).tolist()
    left, top, width, height = box
    right, bottom = np.ceil(left + width), np.ceil(top + height)
    return int(np.floor(left)), int(np.floor(top)), int(right), int(bottom)


def _cropped_mask(instance: TrueInstance, box: _Box) -> NDArray[np.uint8]:
    left, top, right, bottom = box
    if instance.rle is None:
        return np.ones((bottom - top, right - left), dtype=np.uint8)
    mask: NDArray[np.uint8] = mask_utils.decode(instance.rle)  # (H, W)
    return np.ascontiguousarray(mask[top:bottom, left:right])


def _grown(box: _Box, distance: int) -> _Box:
    left, top, right, bottom = box
    return left - distance, top - distance, right + distance, bottom + distance


def _overlap(box: _Box, other: _Box) -> _Box | None:
    left, top = max(box[0], other[0]), max(box[1], other[1])
    right, bottom = min(box[2], other[2]), min(box[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _cut(mask: NDArray[np.uint8], box: _Box, window: _Box) -> NDArray[np.uint8]:
    """The part of a mask that lies in a window, which may reach beyond the mask's box."""
    left, top, right, bottom = window
    part = np.zeros((bottom - top, right - left), dtype=np.uint8)  # (window height, window width)
    shared = _overlap(box, window)
    if shared is not None:
        source = mask[
            shared[1] - box[1] : shared[3] - box[1], shared[0] - box[0] : shared[2] - box[0]
        ]
        part[shared[1] - top : shared[3] - top, shared[0] - left : shared[2] - left] = source
    return part
