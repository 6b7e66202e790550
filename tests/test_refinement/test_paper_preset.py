"""Alg. 4 as the paper has it, beside loops written from its text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks


def components(mask):
    """Line 3: connected pixels have one label; pixels connect through their sides."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left:
        reached, waiting = set(), [min(left)]
        while waiting:
            row, column = waiting.pop()
            if (row, column) in left:
                left.remove((row, column))
                reached.add((row, column))
                sides = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
                waiting += sides
        piece = np.zeros(mask.shape, dtype=bool)
        piece[tuple(np.array(sorted(reached)).T)] = True
        found.append(piece)
    return found


def affinity(edges, first, second):
    """1 - the strongest edge on the path: the pixels of their box near the straight line."""
    rows, columns = second[0] - first[0], second[1] - first[1]
    strongest = 0.0
    for row in range(min(first[0], second[0]), max(first[0], second[0]) + 1):
        for column in range(min(first[1], second[1]), max(first[1], second[1]) + 1):
            across = abs(rows * (column - first[1]) - columns * (row - first[0]))
            if across < np.hypot(rows, columns) or (row, column) == first:
                strongest = max(strongest, float(edges[row, column]))
    return 1 - strongest


def transition(edges, radius, beta):
    """T = D^-1 A^beta, dense."""
    pixels = list(np.ndindex(edges.shape))
    matrix = np.zeros((len(pixels), len(pixels)))
    for i, first in enumerate(pixels):
        for j, second in enumerate(pixels):
            if i == j:
                matrix[i, j] = 1
            elif np.hypot(first[0] - second[0], first[1] - second[1]) < radius:
                matrix[i, j] = affinity(edges, first, second) ** beta
    return matrix / matrix.sum(1, keepdims=True)


def iou(first, second):
    union = (first | second).sum()
    return (first & second).sum() / union if union else 0.0


def algorithm_4(masks, edges, threshold, radius, beta, steps, tau):
    walk = transition(edges, radius, beta)
    spread = []
    for mask in masks:
        for piece in components(mask & (edges <= threshold)):
            vector = (piece * (1.0 - edges)).ravel()  # M * (1 - E)
            for _ in range(steps):  # Eq. 11
                vector = walk @ vector
            values = vector.reshape(edges.shape)
            spread.append((values >= 0.5 * values.max(), values))
    spread = [mask for mask, _ in spread]
    while True:  # line 5: the pair that overlaps most, until none overlaps more than tau
        pairs = [
            (iou(spread[i], spread[j]), i, j)
            for i in range(len(spread))
            for j in range(i + 1, len(spread))
        ]
        most = max(pairs, default=(0, 0, 0))
        if most[0] <= tau:
            return spread
        _, first, second = most
        united = spread[first] | spread[second]
        spread = [mask for k, mask in enumerate(spread) if k not in (first, second)] + [united]


def as_set(masks):
    return sorted(mask.tobytes() for mask in masks)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([0, 1, 7, 40]))
def test_the_paper_preset_is_alg_4_as_it_is_written(seed, count, steps):
    rng = np.random.default_rng(seed)
    size = (8, 10)
    edges = (rng.random(size) * (rng.random(size) < 0.35)).astype(np.float32)
    tops, lefts = rng.integers(0, 5, count), rng.integers(0, 6, count)
    masks = np.zeros((count, *size), dtype=bool)
    for mask, top, left in zip(masks, tops, lefts, strict=True):
        mask[top : top + 4, left : left + 5] = True

    refine = BoundaryGuidedPropagation("paper", steps=steps)
    source = InstanceMasks(masks, np.ones(count, dtype=np.int64), np.ones(count))
    found = refine(source, edges).instances.masks

    expected = algorithm_4(masks, edges.astype(np.float64), 0.5, 5, 10, steps, 0.5)
    if as_set(found) != as_set(expected):  # a probability may be half of the largest but for 1e-14
        assert len(found) == len(expected)
        assert (
            sum((a != b).sum() for a, b in zip(by_area(found), by_area(expected), strict=True)) <= 2
        )


def by_area(masks):
    return sorted(masks, key=lambda mask: (mask.sum(), mask.tobytes()))


def test_its_numbers_are_the_papers():
    chosen = BoundaryGuidedPropagation("paper").settings()

    assert (chosen["steps"], chosen["beta"], chosen["merge_iou"]) == (256, 10, 0.5)
    assert chosen["resolution"] == "image"


def test_what_is_all_edges_is_gone():
    mask = np.zeros((1, 20, 20), dtype=bool)
    mask[0, 5:15, 5:15] = True

    found = BoundaryGuidedPropagation("paper")(
        InstanceMasks(mask, np.ones(1, dtype=np.int64)), mask[0].astype(np.float32)
    )

    assert len(found.instances) == 0
    assert found.pieces == (0,)


def test_it_has_no_settings_that_are_not_the_papers():
    with pytest.raises(ValueError, match="the preset 'paper' has no min_fragment"):
        BoundaryGuidedPropagation("paper", min_fragment=20)
    with pytest.raises(ValueError, match="preset must be one of photos, scenes, paper, got"):
        BoundaryGuidedPropagation("papre")
