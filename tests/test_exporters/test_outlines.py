"""Outlines of masks: drawn by any program, they give the masks back."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from pycocotools import mask as mask_utils
from scipy import ndimage

from tests.exported_masks import filled, hard_masks
from trace_mm.exporters import joined, outline_rings

MASKS = hard_masks()


def by_pillow(polygon, size):
    """As LabelMe draws it."""
    image = Image.new("L", size[::-1])
    ImageDraw.Draw(image).polygon([tuple(point) for point in polygon], fill=1, outline=1)
    return np.array(image) > 0


def by_coco(polygon, size):
    """By pycocotools: a pixel counts by where it is."""
    return mask_utils.decode(mask_utils.frPyObjects([polygon.ravel().tolist()], *size))[..., 0] > 0


def by_centres(polygon, size):
    """A pixel counts if a line from its centre to the right meets the outline oddly often."""
    height, width = size
    inside = np.zeros(size, dtype=bool)
    ends = np.roll(polygon, -1, axis=0)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5, row + 0.5
            for (x0, y0), (x1, y1) in zip(polygon, ends, strict=True):
                if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                    inside[row, column] = not inside[row, column]
    return inside


DRAWERS = [filled, by_pillow, by_coco, by_centres]


def whole(mask, tolerance=0.0):
    return joined([ring for part in outline_rings(mask, tolerance) for ring in part])


@pytest.mark.parametrize("drawn", DRAWERS)
@pytest.mark.parametrize("name", MASKS)
def test_each_part_is_given_back(name, drawn):
    mask = MASKS[name]
    found = np.any([drawn(joined(part), mask.shape) for part in outline_rings(mask)], axis=0)
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("drawn", [by_coco, by_centres])
@pytest.mark.parametrize("name", MASKS)
def test_all_parts_in_one_are_given_back_where_centres_count(name, drawn):
    np.testing.assert_array_equal(drawn(whole(MASKS[name]), MASKS[name].shape), MASKS[name])


def test_parts_are_joined_by_a_line_of_one_pixel_where_touch_counts():
    mask = MASKS["several parts"]
    added = filled(whole(mask)) & ~mask
    assert not (mask & ~filled(whole(mask))).any()
    assert 1 <= added.sum() <= 4  # the parts are 3 pixels apart
    assert ndimage.label(mask | added, np.ones((3, 3)))[1] == 1


@given(arrays(bool, (9, 11)))
def test_any_mask_is_given_back(mask):
    if mask.any():
        np.testing.assert_array_equal(by_centres(whole(mask), mask.shape), mask)
        parts = [by_coco(joined(part), mask.shape) for part in outline_rings(mask)]
        np.testing.assert_array_equal(np.any(parts, axis=0), mask)
    else:
        assert outline_rings(mask) == []


@given(st.integers(0, 1000))
def test_simpler_outlines_lose_little(seed):
    """At half a pixel: a hundredth of blobs that have holes and necks.

    Exact ones lose nothing, but for the lines to holes, which may touch a pixel beside a corner.
    """
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((60, 80)), 4)
    mask = noise > 0.02
    points = [0, 0]
    for index, tolerance in enumerate((0.0, 0.5)):
        parts = outline_rings(mask, tolerance)
        points[index] = sum(len(joined(part)) for part in parts)
        found = np.any([by_pillow(joined(part), mask.shape) for part in parts], axis=0)
        assert (found != mask).sum() <= (0.03 if tolerance else 0.005) * mask.sum()
    assert points[1] < 0.6 * points[0]


def test_parts_and_holes_are_counted():
    counts = {name: [len(part) for part in outline_rings(mask)] for name, mask in MASKS.items()}
    assert counts["holes"] == [3] and counts["several parts"] == [1, 1]
    assert counts["touching at a corner"] == [1] and counts["one pixel"] == [1]
    both = MASKS["holes"] | MASKS["one pixel"]  # an island in a hole is a part of its own
    assert sorted(len(part) for part in outline_rings(both)) == [1, 3]


def test_joints_are_the_shortest_there_are():
    """The length of what joins many parts is that of a tree made by Prim's method."""
    rng = np.random.default_rng(5)
    mask = np.zeros((60, 60), dtype=bool)
    for top, left in rng.integers(0, 55, (12, 2)):
        mask[top : top + 3, left : left + 4] = True
    parts = outline_rings(mask)
    rings = [part[0] for part in parts if len(part) == 1]
    assert len(rings) > 4
    joined_length = _length(joined(rings)) - sum(map(_length, rings))
    reached, rest, tree = [rings[0]], rings[1:], 0.0
    while rest:
        gaps = [min(_gap(ring, other) for other in reached) for ring in rest]
        tree += min(gaps)
        reached.append(rest.pop(int(np.argmin(gaps))))
    assert joined_length == pytest.approx(2 * tree)


def _length(ring):
    return np.linalg.norm(np.roll(ring, -1, axis=0) - ring, axis=1).sum()


def _gap(one, other):
    return np.linalg.norm(one[:, None] - other[None], axis=2).min()


def test_a_rectangle_has_four_corners():
    mask = np.zeros((5, 6), dtype=bool)
    mask[1:4, 2:6] = True
    found = whole(mask)
    assert {tuple(point) for point in found.tolist()} == {
        (2.25, 1.25),
        (5.75, 1.25),
        (5.75, 3.75),
        (2.25, 3.75),
    }
    assert len(found) == 4 and cv2.contourArea(found.astype(np.float32)) == 3.5 * 2.5
