"""Borders between segments, and the annotation files they come from."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils
from scipy import ndimage

from trace_mm.datasets.ground_truth import (
    instance_borders,
    layer_instances,
    layer_masks,
    read_bsds_borders,
)
from trace_mm.files import decode_segmentation
from trace_mm.ops import thin


def square(size, top, left, height, width):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_border_of_two_halves_is_one_line():
    ids = np.zeros((6, 8), dtype=np.uint8)
    ids[:, 4:] = 7
    expected = np.zeros((6, 8), dtype=bool)
    expected[:, 3] = True
    np.testing.assert_array_equal(instance_borders(ids), expected)


@given(
    arrays.arrays(
        np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)
    )
)
@settings(max_examples=100, deadline=None)
def test_borders_are_thin_and_where_ids_differ(ids):
    borders = instance_borders(ids)
    np.testing.assert_array_equal(thin(borders), borders)
    padded = np.pad(ids, 1, mode="edge")
    high, low = ndimage.maximum_filter(padded, 3), ndimage.minimum_filter(padded, 3)
    assert not (borders & (high == low)[1:-1, 1:-1]).any()
    assert borders.any() == (len(np.unique(ids)) > 1)


def test_touching_objects_of_one_class_are_separated():
    size = (40, 40)
    left, right = square(size, 10, 5, 20, 15), square(size, 10, 20, 20, 15)
    borders = instance_borders(layer_masks([left, right], size))
    regions, number = ndimage.label(~borders)
    assert number == 3
    assert regions[20, 10] != regions[20, 28]


def test_void_is_no_border():
    ids = np.array([[1, 1, 0, 0, 2, 2]] * 4)
    assert instance_borders(ids).sum() == 8
    assert not instance_borders(ids, void=0).any()
    ids[:, 3] = 3  # what is left of void touches 1 and 3
    assert instance_borders(ids, void=0).any(axis=0).tolist() == [False] * 3 + [True] + [False] * 2


def test_large_ids_and_odd_shapes():
    assert instance_borders(np.array([[2**40, 2**40 + 1]])).tolist() == [[True, False]]
    assert not instance_borders(np.zeros((0, 4))).any()
    with pytest.raises(ValueError, match="two dimensions"):
        instance_borders(np.zeros((2, 3, 4)))


def test_smaller_mask_is_in_front_whatever_the_order():
    size = (10, 10)
    large, small = square(size, 0, 0, 10, 8), square(size, 4, 4, 3, 6)
    assert (layer_masks([large, small], size)[small] == 2).all()
    assert (layer_masks([small, large], size)[small] == 1).all()
    assert not layer_masks([], size).any()


def rle(mask, compressed=True):
    if compressed:
        return mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs, value = [], False
    flat = mask.ravel(order="F")
    position = 0
    while position < len(flat):
        run = 0
        while position < len(flat) and flat[position] == value:
            run, position = run + 1, position + 1
        runs.append(run)
        value = not value
    return {"size": list(mask.shape), "counts": runs}


@pytest.mark.parametrize("compressed", [True, False])
def test_rle(compressed):
    mask = square((7, 9), 1, 2, 3, 4)
    np.testing.assert_array_equal(decode_segmentation(rle(mask, compressed), (7, 9)), mask)


def test_polygons():
    polygons = [[2, 1, 6, 1, 6, 4, 2, 4], [0, 5, 3, 5, 3, 7, 0, 7], [1, 1, 2, 2]]
    expected = square((7, 9), 1, 2, 3, 4) | square((7, 9), 5, 0, 2, 3)
    np.testing.assert_array_equal(decode_segmentation(polygons, (7, 9)), expected)
    with pytest.raises(ValueError, match="a box is written as bbox"):
        decode_segmentation([[0, 0, 9, 7]], (7, 9))


def test_bad_segmentations_say_what_is_wrong():
    mask = square((7, 9), 1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"RLE is for \(7, 9\).*\(9, 7\)"):
        decode_segmentation(rle(mask), (9, 7))
    for empty in ([], None, "x"):
        with pytest.raises(ValueError, match="neither"):
            decode_segmentation(empty, (9, 7))


def test_crowd_is_behind_all_instances():
    size = (12, 12)
    crowd, person = square(size, 4, 4, 2, 2), square(size, 0, 0, 12, 8)
    ids = layer_instances([crowd, person], [True, False], size)
    assert (ids[person] == 1).all()
    ids = layer_instances([square(size, 4, 4, 8, 8), person], [True, False], size)
    assert set(np.unique(ids)) == {0, 1, 2}
    assert (ids[person] == 1).all()
    assert not layer_instances([], [], size).any()


def test_bsds_file(tmp_path):
    maps = np.random.default_rng(0).random((3, 6, 5)) < 0.2
    cells = np.empty((1, 3), dtype=object)
    for index, borders in enumerate(maps):
        cells[0, index] = {"Segmentation": np.ones((6, 5)), "Boundaries": borders.astype(np.uint8)}
    scipy.io.savemat(tmp_path / "a.mat", {"groundTruth": cells})
    np.testing.assert_array_equal(read_bsds_borders(tmp_path / "a.mat"), maps)


def test_bad_bsds_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.mat"):
        read_bsds_borders(tmp_path / "none.mat")
    (tmp_path / "broken.mat").write_bytes(b"this is not a MATLAB file" * 20)
    with pytest.raises(ValueError, match=r"broken\.mat"):
        read_bsds_borders(tmp_path / "broken.mat")
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(ValueError, match=r"other\.mat.*groundTruth"):
        read_bsds_borders(tmp_path / "other.mat")


@pytest.mark.parametrize("sign", [1, -1])
def test_diagonal_border_is_thin_and_half_a_pixel_away(sign):
    y, x = np.mgrid[:20, :20]
    position = x + sign * y - (19 if sign == 1 else 0)  # the exact border is at position 0.5
    borders = instance_borders((position > 0).astype(int))
    distance = np.abs(position[borders] - 0.5) / 2**0.5
    assert distance.max() < 0.5
    assert borders.sum() in (19, 20)
