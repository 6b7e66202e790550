import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import edge_affinities, random_walk_laplacian
from trace_mm.ops.affinity import neighbor_offsets, path_pixels


def naive_affinity(edges, first, second):
    """1 - the strongest edge near the line between two pixels, from the definition."""
    (y0, x0), (y1, x1) = first, second
    length = math.dist(first, second)
    strongest = 0.0
    for y in range(min(y0, y1), max(y0, y1) + 1):
        for x in range(min(x0, x1), max(x0, x1) + 1):
            if abs((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)) / length < 1:
                strongest = max(strongest, float(edges[y, x]))
    return 1 - strongest


def naive_transition(edges, radius, beta):
    """T of App. C.6, dense and in float64."""
    height, width = edges.shape
    affinity = np.eye(height * width)
    for i in range(height * width):
        for j in range(height * width):
            first, second = divmod(i, width), divmod(j, width)
            if i != j and math.dist(first, second) < radius:
                affinity[i, j] = naive_affinity(edges, first, second) ** beta
    return affinity / affinity.sum(1, keepdims=True)


def test_a_pixel_has_34_neighbors_ahead_within_five_pixels():
    offsets = neighbor_offsets(5)

    assert len(offsets) == 34
    assert len({*offsets, *((-y, -x) for y, x in offsets)}) == 68
    assert all(math.hypot(*offset) < 5 for offset in offsets)


@pytest.mark.parametrize("offset", neighbor_offsets(6))
def test_a_path_holds_steps_through_sides_only(offset):
    """So that no line of edge pixels that touch at their corners crosses it unseen."""
    path = set(path_pixels(offset))
    reached, waiting = {(0, 0)}, [(0, 0)]
    while waiting:
        y, x = waiting.pop()
        for step in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if step in path and step not in reached:
                reached.add(step)
                waiting.append(step)

    assert offset in reached


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_affinities_are_those_of_the_definition(height, width, radius, seed):
    edges = np.random.default_rng(seed).random((height, width))

    affinities = edge_affinities(torch.from_numpy(edges), radius)

    for affinity, (rows, columns) in zip(affinities, neighbor_offsets(radius), strict=True):
        for y in range(height):
            for x in range(width):
                there = y + rows, x + columns
                inside = 0 <= there[0] < height and 0 <= there[1] < width
                expected = naive_affinity(edges, (y, x), there) if inside else 0.0
                assert affinity[y, x] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("height", "width"), [(7, 12), (12, 7), (1, 9), (6, 2), (1, 1)])
@pytest.mark.parametrize(("radius", "beta"), [(5, 10), (3, 2), (2, 0.5)])
def test_the_laplacian_is_that_of_the_walk(height, width, radius, beta):
    edges = np.random.default_rng(1).random((height, width))

    laplacian = random_walk_laplacian(torch.from_numpy(edges), radius, beta).to_dense().numpy()

    walk = np.eye(height * width) - laplacian
    np.testing.assert_allclose(walk, naive_transition(edges, radius, beta), atol=1e-14)


def test_a_row_has_no_more_than_69_entries():
    laplacian = random_walk_laplacian(torch.rand(20, 30))

    assert laplacian.crow_indices().diff().max() == 69
    assert laplacian.values().numel() < 69 * 600


def test_a_pixel_that_edges_surround_stays_where_it_is():
    edges = torch.ones(5, 5)

    laplacian = random_walk_laplacian(edges).to_dense()

    assert (laplacian == 0).all()


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (torch.rand(1, 4, 4), r"float map \(H, W\)"),
        (torch.zeros(4, 4, dtype=torch.bool), r"float map \(H, W\)"),
        (torch.full((2, 2), 1.5), r"in \[0, 1\], got 1.5 to 1.5"),
        (torch.tensor([[float("nan"), 0.0]]), r"in \[0, 1\]"),
    ],
)
def test_what_is_no_edge_map_is_refused(edges, message):
    with pytest.raises(ValueError, match=message):
        edge_affinities(edges)


def test_radius_and_beta_are_checked():
    with pytest.raises(ValueError, match="radius must be at least 1"):
        edge_affinities(torch.zeros(3, 3), 0)
    with pytest.raises(ValueError, match="beta must be positive"):
        random_walk_laplacian(torch.zeros(3, 3), beta=0)
