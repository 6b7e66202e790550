"""Seeds and prompts, against loops over pixels."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from projects.sam_seeds.seeds import (
    Prompting,
    Seeds,
    box_masks,
    boxes_of,
    components,
    inner_points,
    majority_classes,
    nearest_others,
)

MASKS = arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))


def flooded(mask):
    """Sets of the pixels that are connected through their sides, in the order of their first."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), []
    for start in sorted(left):
        if start not in left:
            continue
        part, waiting = set(), [start]
        while waiting:
            row, column = waiting.pop()
            if (row, column) in left:
                left.remove((row, column))
                part.add((row, column))
                waiting += [(row + 1, column), (row - 1, column)]
                waiting += [(row, column + 1), (row, column - 1)]
        found.append(part)
    return found


@given(
    arrays(np.int8, (5, 6), elements=st.integers(-1, 2)), arrays(bool, (5, 6)), st.integers(0, 3)
)
def test_components_are_what_a_flood_reaches(classes, on_edge, min_area):
    edges = np.where(on_edge, 0.9, 0.5).astype(np.float32)
    seeds = components(classes.astype(np.int32), [0, 1], edges, 0.5, min_area)
    expected = [
        (part, number)
        for number in (0, 1)
        for part in flooded((classes == number) & ~on_edge)
        if len(part) >= min_area
    ]
    found = [set(zip(*np.nonzero(mask), strict=True)) for mask in seeds.masks]
    assert sorted(zip(map(sorted, found), seeds.classes.tolist(), strict=True)) == sorted(
        (sorted(part), number) for part, number in expected
    )
    assert seeds.classes.tolist() == sorted(seeds.classes.tolist())


def points_one_by_one(mask, count):
    """The definition, pixel by pixel."""
    height, width = mask.shape
    inside = [(r, c) for r in range(height) for c in range(width) if mask[r, c]]
    frame = itertools.product(range(-1, height + 1), range(-1, width + 1))
    outside = [p for p in frame if p not in inside]
    chosen = []
    for _ in range(count):
        worth = {p: min([math.dist(p, other) for other in (*outside, *chosen)]) for p in inside}
        chosen.append(max(inside, key=lambda p: (worth[p], -p[0], -p[1])))
    return [(c, r) for r, c in chosen]


@given(MASKS.filter(np.any), st.integers(1, 4))
def test_inner_points(mask, count):
    found = inner_points(mask, count)
    assert found.tolist() == [list(point) for point in points_one_by_one(mask, count)]
    assert all(mask[int(y), int(x)] for x, y in found)


def test_no_point_in_an_empty_mask():
    with pytest.raises(ValueError, match="without a pixel"):
        inner_points(np.zeros((3, 3), bool), 1)


@given(MASKS.filter(np.any))
def test_boxes_hold_the_mask_and_no_smaller_one_does(mask):
    (box,) = boxes = boxes_of(mask[None])
    left, top, right, bottom = box.astype(int)
    rows, columns = np.nonzero(mask)
    assert (left, top) == (columns.min(), rows.min())
    assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
    expected = np.zeros_like(mask)
    expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(box_masks(boxes, mask.shape)[0], expected)


def test_a_box_holds_pixels_whose_middles_it_holds():
    (mask,) = box_masks(np.array([[0.6, 0.4, 2.5, 1.6]]), (3, 4))
    assert np.argwhere(mask).tolist() == [[0, 1], [1, 1]]  # 2.5 itself is outside


def test_majority_classes():
    classes = np.array([[0, 0, 1, 1], [-1, -1, -1, 2]], dtype=np.int32)
    masks = np.zeros((4, 2, 4), bool)
    masks[0, 0, :3] = True  # 0, 0, 1
    masks[1, 0, 1:3] = True  # a draw of 0 and 1
    masks[2, 1, 1:] = True  # void, void, 2
    masks[3, 1, 0] = True  # void alone
    assert majority_classes(masks, classes).tolist() == [0, 0, 2, -1]


@given(
    arrays(float, st.tuples(st.integers(0, 5), st.just(2)), elements=st.integers(0, 9)),
    st.integers(0, 3),
)
def test_nearest_others(points, count):
    found = nearest_others(points, count)
    assert found.shape == (len(points), max(min(count, len(points) - 1), 0), 2)
    for index, near in enumerate(found):
        others = [other for number, other in enumerate(points) if number != index]
        ranked = sorted(others, key=lambda other: math.dist(other, points[index]))
        np.testing.assert_array_equal(near, np.array(ranked[: len(near)]).reshape(-1, 2))


def two_squares():
    masks = np.zeros((2, 10, 20), bool)
    masks[0, 1:6, 2:7] = True
    masks[1, 1:6, 7:12] = True
    return Seeds.of_masks(masks, np.array([0, 1]))


def test_prompts_of_all_kinds():
    seeds = two_squares()
    prompts = Prompting(("box", "points", "mask"), points=1, others=1, margin=0.4)(seeds, (10, 20))
    assert prompts.boxes.tolist() == [[1, 0, 8, 7], [6, 0, 13, 7]]
    assert prompts.points.tolist() == [[[4, 3], [9, 3]], [[9, 3], [4, 3]]]
    assert prompts.labels.tolist() == [[1, 0], [1, 0]]
    assert prompts.masks is seeds.masks and len(prompts) == 2


def test_boxes_alone_give_points_but_no_masks():
    seeds = Seeds(np.array([[2.0, 1, 7, 6]]), np.array([0]), np.array([0.5]))
    prompts = Prompting(("points",))(seeds, (10, 20))
    assert prompts.points.tolist() == [[[4, 3]]] and prompts.boxes is None
    with pytest.raises(ValueError, match="no mask prompts"):
        Prompting(("mask",))(seeds, (10, 20))


def test_no_seeds_give_no_prompts():
    none = Seeds.of_masks(np.zeros((0, 4, 4), bool), np.zeros(0, dtype=np.int64))
    prompts = Prompting(("box", "points", "mask"), others=2)(none, (4, 4))
    assert len(prompts) == 0 and prompts.points.shape == (0, 1, 2)


@pytest.mark.parametrize(
    "options", [{"kinds": ()}, {"kinds": ("text",)}, {"points": 0}, {"others": -1}, {"margin": 2}]
)
def test_wrong_prompting(options):
    with pytest.raises(ValueError, match=r"prompts consist of|there must be a point"):
        Prompting(**options)
