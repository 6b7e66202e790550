"""Masks that hold many objects: nothing in the refinement assumes how many there are."""

import numpy as np
import pytest

from trace_mm.datasets import instance_borders
from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks


def tiles(size, rows, columns, margin=0):
    """Equal rectangles that touch, int (H, W); 0 is the margin around them."""
    ids = np.zeros(size, dtype=np.int64)
    tops = np.linspace(margin, size[0] - margin, rows + 1).round().astype(int)
    lefts = np.linspace(margin, size[1] - margin, columns + 1).round().astype(int)
    for row in range(rows):
        for column in range(columns):
            box = np.s_[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]]
            ids[box] = row * columns + column + 1
    return ids


def refined(ids, refine=None, score=0.5):
    source = InstanceMasks((ids > 0)[None], np.ones(1, dtype=np.int64), np.array([score]))
    edges = instance_borders(ids).astype(np.float32)
    return (refine or BoundaryGuidedPropagation())(source, edges).instances


def worst_overlap(ids, masks):
    """The least IoU of an object with the mask that fits it best."""
    counts = np.bincount(ids.ravel())
    best = np.zeros(len(counts))
    for mask in masks:
        shared = np.bincount(ids[mask], minlength=len(counts))
        best = np.maximum(best, shared / (counts + mask.sum() - shared))
    return best[1:].min()


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (375, 500), (480, 640)])
@pytest.mark.parametrize("margin", [0, 8])
@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 2), (2, 3), (3, 3), (2, 5), (3, 4), (1, 20), (4, 5), (10, 10)]
)
def test_equal_neighbors_in_one_mask_are_told_apart(size, margin, rows, columns):
    ids = tiles(size, rows, columns, margin)

    found = refined(ids)

    assert len(found) == rows * columns
    assert worst_overlap(ids, found.masks) > 0.75
    assert set(found.scores) == {0.5}


@pytest.mark.parametrize(
    ("size", "rows", "columns", "margin"),
    [
        ((480, 640), 1, 100, 0),
        ((480, 640), 4, 25, 0),
        ((375, 500), 1, 40, 8),
        ((375, 500), 10, 10, 93),
        ((128, 128), 10, 10, 32),
    ],
)
def test_many_narrow_objects_get_a_grid_that_shows_them(size, rows, columns, margin):
    ids = tiles(size, rows, columns, margin)

    found = refined(ids)

    assert len(found) == rows * columns
    assert worst_overlap(ids, found.masks) > 0.7


@pytest.mark.parametrize("size", [(128, 128), (375, 500), (480, 640)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (1, 4), (2, 2), (2, 3), (3, 3)])
def test_lines_divide_a_mask_whose_outline_has_no_edges(size, rows, columns):
    ids = tiles(size, rows, columns, margin=16)
    source = InstanceMasks((ids > 0)[None], np.ones(1, dtype=np.int64))

    edges = instance_borders(ids, void=0).astype(np.float32)

    found = BoundaryGuidedPropagation()(source, edges).instances

    assert len(found) == rows * columns
    assert worst_overlap(ids, found.masks) > 0.4  # they may run over an outline without edges


def test_a_part_of_a_neighbor_that_a_mask_runs_over_is_no_object():
    ids = tiles((128, 128), 1, 2)
    over = ids == 1
    over[:, 64:68] = True
    edges = instance_borders(ids).astype(np.float32)
    source = InstanceMasks(over[None], np.ones(1, dtype=np.int64))

    found = BoundaryGuidedPropagation()(source, edges).instances

    assert len(found) == 1
    assert worst_overlap(np.where(ids == 1, 1, 0), found.masks) > 0.95
