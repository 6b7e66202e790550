"""Segments drawn over their photo, and their outlines as paths."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.visualization.refinement import instance_color
from trace_mm.visualization.segments import draw_segments, outline_path, outline_paths


def rings_of(path):
    """The rings of a path, each a list of points, as a browser reads it."""
    rings, x, y = [], 0, 0
    for part in re.findall(r"m([^z]*)z", path):
        ring = []
        for step in re.split("[l ]", part):
            right, down = map(int, step.split(","))
            x, y = x + right, y + down
            ring.append((x, y))
        x, y = ring[0]
        rings.append(ring)
    return rings


def covers(rings, x, y):
    """Whether a point lies on a ring, or in an odd number of them."""
    crossings = 0
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            across = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
            if across == 0 and min(x0, x1) <= x <= max(x0, x1) and min(y0, y1) <= y <= max(y0, y1):
                return True
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                crossings += 1
    return crossings % 2 == 1


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_an_exact_path_encloses_the_mask(mask):
    rings = rings_of(outline_path(mask, mask.shape, tolerance=0))
    height, width = mask.shape
    drawn = [[covers(rings, x, y) for x in range(width)] for y in range(height)]
    assert np.array_equal(np.array(drawn), mask)


def test_a_path_is_for_the_size_of_the_picture():
    mask = np.zeros((40, 60), bool)
    mask[8:24, 12:40] = True
    ((left, top), *_), *_ = rings_of(outline_path(mask, (20, 30)))
    assert (left, top) == (6, 4)
    mask[:] = False
    mask[3, 3] = True
    empty, other = outline_paths(np.stack([mask, ~mask]), (10, 15))
    assert empty == "" and other.startswith("m0,0l")


def test_small_masks_lie_in_front_of_large_ones():
    masks = np.zeros((3, 60, 90), bool)
    masks[0, 20:40, 20:40] = True
    masks[1, 5:55, 5:60] = True
    masks[2, 25:35, 25:35] = True
    image = np.full((60, 90, 3), 0.4, np.float32)
    drawn = draw_segments(image, masks)
    for index, (row, column) in enumerate([(22, 30), (10, 30), (30, 30)]):
        expected = 255 * (0.5 * 0.4 + 0.5 * instance_color(index))
        assert np.abs(drawn[row, column] - expected).max() <= 1
    assert (drawn[30, 70] == 102).all()  # the photo itself
    assert (drawn[20, 30] == 255).all()  # an outline


def test_pictures_are_shrunk_to_a_longest_side():
    masks = np.ones((1, 60, 90), bool)
    image = np.zeros((60, 90, 3), np.float32)
    assert draw_segments(image, masks, longest=30).shape == (20, 30, 3)
    assert (draw_segments(image, masks[:0]) == 0).all()
