"""Semantic maps keep their values, in VOC's colours."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays
from PIL import Image

from trace_mm.files.palette import semantic_png, voc_palette

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=5)


def test_colours_are_those_of_voc():
    """The first ones as VOC's development kit lists them, and that of void."""
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 20: (0, 64, 128)}
    for index, color in {**known, 255: (224, 224, 192)}.items():
        assert tuple(voc_palette()[index].tolist()) == color
    assert len(np.unique(voc_palette(), axis=0)) == 256


@given(arrays.arrays(np.uint8, SHAPES))
def test_bytes_become_palette_images(ids):
    image = Image.open(io.BytesIO(semantic_png(ids)))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), ids)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc_palette()[ids])


@given(arrays.arrays(np.uint16, SHAPES))
def test_larger_values_become_grey_images(ids):
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(semantic_png(ids)))), ids)


def test_a_view_is_written_as_it_looks():
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.open(io.BytesIO(semantic_png(ids[:, ::-1].T)))
    np.testing.assert_array_equal(np.asarray(image), ids[:, ::-1].T)


@pytest.mark.parametrize(
    "ids", [np.zeros((2, 2), dtype=int), np.zeros(3, dtype=np.uint8), np.zeros((0, 2), np.uint8)]
)
def test_other_maps_are_refused(ids):
    with pytest.raises(ValueError, match="uint8 or uint16"):
        semantic_png(ids)
