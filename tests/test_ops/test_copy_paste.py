"""Objects pasted onto another image, against a loop over pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import paste_objects, placed

SIZE = (6, 7)


def naive_paste(image, masks, other, objects, max_hidden):
    """The definition, pixel by pixel."""
    height, width = image.shape[:2]
    pixels = [(y, x) for y in range(height) for x in range(width)]
    kept = []
    for number, thing in enumerate(objects):
        covered = [at for at in pixels if thing[at]]
        hides = [
            sum(mask[at] for at in covered) / area if (area := mask.sum()) else 0 for mask in masks
        ]
        if covered and all(share < max_hidden for share in hides):
            kept.append(number)
    image, masks = image.copy(), masks.copy()
    for number in kept:
        for at in pixels:
            if objects[number][at]:
                image[at] = other[at]
                masks[(slice(None), *at)] = False
    own = [number for number, mask in enumerate(masks) if mask.any()]
    return image, [*masks[own], *objects[kept]], own, kept


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 3), others=st.integers(0, 3))
def test_pasting_is_as_the_loop_says(seed, count, others):
    rng = np.random.default_rng(seed)
    image, other = (rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(2))
    masks, objects = (
        rng.random((number, *SIZE)) < rng.choice([0.1, 0.4], (number, 1, 1))
        for number in (count, others)
    )
    before = image.copy()
    found = paste_objects(image, masks, other, objects, 0.5)
    expected, kept, own, pasted = naive_paste(image, masks, other, objects, 0.5)
    np.testing.assert_array_equal(found.image, expected)
    np.testing.assert_array_equal(found.masks, np.array(kept).reshape(-1, *SIZE))
    assert (found.own.tolist(), found.pasted.tolist()) == (own, pasted)
    np.testing.assert_array_equal(image, before)


def test_an_object_that_would_hide_half_of_another_is_left_out():
    image, other = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 9, np.uint8)
    mask, large, small = np.zeros((3, *SIZE), dtype=bool)
    mask[:2, :4], large[:1], small[0, :3] = True, True, True  # 8 pixels; 4 and 3 of them
    found = paste_objects(image, mask[None], other, np.stack([large, small]))
    assert found.pasted.tolist() == [1]
    assert found.masks.sum((1, 2)).tolist() == [5, 3]
    assert (found.image[0, :, 0] == [9, 9, 9, 0, 0, 0, 0]).all()


def test_placed_fills_its_part_of_the_canvas_only():
    image = np.full((4, 4, 3), 7, dtype=np.uint8)
    mask = np.zeros((1, 4, 4), dtype=bool)
    mask[0, :, :2] = True
    whole, moved = placed(image, mask, (6, 8), (2, 4), (3, 1))
    expected = np.zeros((6, 8), dtype=bool)
    expected[3:5, 1:3] = True
    np.testing.assert_array_equal(moved[0], expected)
    assert whole.sum() == 7 * 3 * 8 and whole[3:5, 1:5].min() == 7
    assert whole.dtype == np.uint8


def test_the_same_size_changes_nothing():
    rng = np.random.default_rng(0)
    image, masks = rng.random((*SIZE, 3), dtype=np.float32), rng.random((2, *SIZE)) < 0.5
    whole, moved = placed(image, masks, SIZE, SIZE, (0, 0))
    np.testing.assert_array_equal(whole, image)
    np.testing.assert_array_equal(moved, masks)


def test_what_does_not_fit_is_refused():
    image, masks = np.zeros((*SIZE, 3), np.uint8), np.zeros((1, *SIZE), dtype=bool)
    with pytest.raises(ValueError, match="reaches out"):
        placed(image, masks, SIZE, (4, 4), (3, 0))
    with pytest.raises(ValueError, match="one size"):
        paste_objects(image, masks, image[1:], masks)
