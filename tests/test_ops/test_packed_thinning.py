"""Many masks thinned at once, against each thinned by itself."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests.test_ops.test_thinning import thin_slowly
from trace_mm.ops import thin
from trace_mm.ops.packed_thinning import pack_levels, thin_packed, unpack


@st.composite
def level_maps(draw):
    """A map of levels (H, W), and the highest there could be: one word, or several."""
    masks = draw(st.sampled_from([1, 3, 64, 65, 130]))
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=11))
    return draw(arrays.arrays(np.int64, shape, elements=st.integers(0, masks))), masks


def thin_levels(level, masks):
    """Thinned masks bool (masks, H, W) by way of words."""
    pixels = np.flatnonzero(level)
    words = thin_packed(pack_levels(level.ravel()[pixels], masks), pixels, level.shape)
    skeletons = np.zeros((level.size, masks), dtype=bool)
    skeletons[pixels] = unpack(words, masks)
    return skeletons.T.reshape(masks, *level.shape)


@given(level_maps())
@settings(max_examples=100, deadline=None)
def test_each_mask_is_thinned_as_by_itself(drawn):
    level, masks = drawn
    skeletons = thin_levels(level, masks)
    for number in {0, masks // 2, masks - 1}:
        np.testing.assert_array_equal(skeletons[number], thin_slowly(level > number))


def test_a_whole_soft_map():
    """Larger than what is looked at in one go, and thick, so that there is much to peel."""
    soft = ndimage.gaussian_filter(np.random.default_rng(0).random((130, 170)), 3)
    level = np.digitize(soft, np.linspace(soft.min(), soft.max(), 99))
    skeletons = thin_levels(level, 99)
    for number in range(99):
        np.testing.assert_array_equal(skeletons[number], thin(level > number))


@pytest.mark.parametrize("masks", [1, 64, 100])
def test_words_hold_what_they_are_made_of(masks):
    levels = np.random.default_rng(masks).integers(0, masks + 1, 50)
    words = pack_levels(levels, masks)
    assert words.shape == (50, -(-masks // 64))
    np.testing.assert_array_equal(unpack(words, masks), np.arange(masks) < levels[:, None])


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (3, 3)])
def test_nothing_to_thin(shape):
    assert not thin_levels(np.zeros(shape, dtype=int), 3).any()
