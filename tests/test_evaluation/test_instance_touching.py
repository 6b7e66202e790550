"""Touching instances of one class, against distances between all pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.evaluation.instance_ground_truth import TrueInstance
from trace_mm.evaluation.touching_instances import has_touching_instances
from trace_mm.files.coco import encode_rle, mask_box, segmentation_rle


def instance(mask, category=1, crowd=False):
    rle = segmentation_rle(encode_rle(mask), mask.shape)
    return TrueInstance(rle, tuple(mask_box(mask)), float(mask.sum()), category, crowd, False)


def square(left, top, side=5, size=(30, 40)):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def nearest(first, second):
    """Chebyshev distance between the nearest pixels of two masks."""
    pixels, others = np.argwhere(first), np.argwhere(second)
    return min(int(np.abs(pixel - other).max()) for pixel in pixels for other in others)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    distance=st.integers(0, 4),
)
def test_is_the_distance_of_the_nearest_pixels(seed, distance):
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(2):
        mask = np.zeros((16, 18), dtype=bool)
        top, left = rng.integers(0, 12, 2)
        mask[top : top + 4, left : left + 5] = (
            rng.random(mask[top : top + 4, left : left + 5].shape) < 0.4
        )
        masks.append(mask)
    if not (masks[0].any() and masks[1].any()):
        return
    touches = has_touching_instances([instance(mask) for mask in masks], distance)
    assert touches == (nearest(*masks) <= distance)


def test_only_instances_of_one_class():
    pair = [square(2, 2), square(7, 2)]
    assert has_touching_instances([instance(mask) for mask in pair])
    assert not has_touching_instances([instance(pair[0], 1), instance(pair[1], 2)])
    assert not has_touching_instances([instance(pair[0]), instance(pair[1], crowd=True)])


@pytest.mark.parametrize(("gap", "touches"), [(0, True), (1, True), (2, False)])
def test_by_default_one_pixel_may_lie_between(gap, touches):
    pair = [square(2, 2), square(7 + gap, 2)]
    assert has_touching_instances([instance(mask) for mask in pair]) == touches


def test_at_the_image_rim_and_empty():
    assert has_touching_instances([instance(square(0, 0)), instance(square(5, 0))], 1)
    empty = instance(np.zeros((30, 40), dtype=bool))
    assert not has_touching_instances([empty, empty, instance(square(0, 0))], 3)
    assert not has_touching_instances([])


def test_without_masks_boxes_are_compared():
    boxes = [(0.0, 0.0, 5.0, 5.0), (6.0, 0.0, 4.0, 4.0)]
    pair = [TrueInstance(None, box, 20, "car", False, False) for box in boxes]
    assert has_touching_instances(pair, 2)
    assert not has_touching_instances(pair, 1)


def test_negative_distance():
    with pytest.raises(ValueError, match="must not be negative"):
        has_touching_instances([], -1)
