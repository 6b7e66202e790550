import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import mask_ious, merge_groups, merge_masks


def bars(*spans, length=12):
    """Masks (K, 1, length) that are set from one position up to another."""
    masks = torch.zeros(len(spans), 1, length, dtype=torch.bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return masks


def naive_iou(first, second):
    shared = sum(bool(a and b) for a, b in zip(first, second, strict=True))
    either = sum(bool(a or b) for a, b in zip(first, second, strict=True))
    return shared / either if either else 0.0


def test_masks_that_overlap_become_one():
    masks = bars((0, 6), (8, 12), (1, 6))

    assert torch.equal(merge_masks(masks), bars((0, 6), (8, 12)))
    assert merge_groups(masks).tolist() == [0, 1, 0]


def test_what_became_one_is_compared_again():
    # The first overlaps the third only after it has taken in the second.
    masks = bars((0, 6), (3, 8), (0, 9))
    assert naive_iou(masks[1].flatten(), masks[2].flatten()) > 0.5

    assert torch.equal(merge_masks(masks), bars((0, 9)))


def test_an_iou_at_the_limit_does_not_merge():
    masks = bars((0, 6), (0, 3))

    assert len(merge_masks(masks, 0.5)) == 2
    assert len(merge_masks(masks, 0.49)) == 1


def test_masks_that_hold_each_other_are_not_one():
    masks = bars((0, 12), (4, 6))

    assert torch.equal(merge_masks(masks), masks)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.floats(0.2, 0.8))
def test_the_order_of_masks_does_not_matter_and_none_is_left_to_merge(seed, count, iou):
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 8, count)
    masks = bars(*((start, start + rng.integers(1, 6)) for start in starts), length=14)
    order = torch.from_numpy(rng.permutation(count))

    merged = merge_masks(masks, iou)
    other = merge_masks(masks[order], iou)

    assert sorted(mask.numpy().tobytes() for mask in merged) == sorted(
        mask.numpy().tobytes() for mask in other
    )
    assert torch.equal(merged.any(0), masks.any(0))
    for first in range(len(merged)):
        for second in range(first):
            assert naive_iou(merged[first].flatten(), merged[second].flatten()) <= iou


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ious_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    masks, others = rng.random((3, 20)) > 0.6, rng.random((2, 20)) > 0.3
    masks[0] = False

    ious = mask_ious(masks, others)

    for row, mask in zip(ious, masks, strict=True):
        for value, other in zip(row, others, strict=True):
            assert value == pytest.approx(naive_iou(mask, other), abs=1e-12)


def test_inputs_are_left_alone_and_no_mask_is_no_error():
    masks = bars((0, 6), (0, 5))
    before = masks.clone()

    merge_masks(masks)

    assert torch.equal(masks, before)
    assert merge_masks(masks[:0]).shape == (0, 1, 12)
    with pytest.raises(ValueError, match="must be bool"):
        merge_masks(masks.float())
