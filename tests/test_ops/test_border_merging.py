import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.ops import connected_parts, merge_weak_borders

SHAPE = (7, 9)
LEVELS = [0.0, 0.25, 0.5, 0.75, 1.0]
maps = arrays(np.int32, SHAPE, elements=st.integers(0, 5))
edge_maps = arrays(np.float32, SHAPE, elements=st.sampled_from(LEVELS))
shares = st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])


def naive_evidence(labels, edges, first, second, weak_share, reach):
    """Of the border of two segments, by loops over pixels; None if they have none."""
    height, width = labels.shape
    values = []
    for y in range(height):
        for x in range(width):
            for other_y, other_x in ((y, x + 1), (y + 1, x)):
                if other_y >= height or other_x >= width:
                    continue
                if {labels[y, x], labels[other_y, other_x]} != {first, second}:
                    continue
                near = [
                    edges[row, column]
                    for row in range(height)
                    for column in range(width)
                    for at in ((y, x), (other_y, other_x))
                    if max(abs(row - at[0]), abs(column - at[1])) <= reach
                ]
                values.append(float(max(near)))
    return sorted(values)[int(weak_share * (len(values) - 1))] if values else None


def naive_merge(labels, edges, least, weak_share, reach):
    labels = labels.copy()
    while True:
        found = []
        numbers = [int(one) for one in np.unique(labels) if one]
        for index, first in enumerate(numbers):
            for second in numbers[index + 1 :]:
                evidence = naive_evidence(labels, edges, first, second, weak_share, reach)
                if evidence is not None:
                    found.append((evidence, first, second))
        if not found or min(found)[0] > least:
            return labels
        _, first, second = min(found)
        labels[labels == second] = first


@given(maps, edge_maps, st.sampled_from(LEVELS), shares, st.integers(0, 1))
def test_agrees_with_loops(labels, edges, least, weak_share, reach):
    merged = merge_weak_borders(labels, edges, least, weak_share, reach)

    assert (merged == naive_merge(labels, edges, least, weak_share, reach)).all()


@given(maps, shares)
def test_without_edges_segments_are_what_is_connected(labels, weak_share):
    merged = merge_weak_borders(labels, np.zeros(SHAPE, dtype=np.float32), 0.0, weak_share)

    parts = connected_parts(labels > 0)
    for part in range(1, parts.max() + 1):
        assert len(np.unique(merged[parts == part])) == 1


@given(maps, edge_maps, shares)
def test_a_higher_demand_only_unites(labels, edges, weak_share):
    before = labels
    for least in LEVELS:
        merged = merge_weak_borders(labels, edges, least, weak_share)
        for number in np.unique(before):
            assert len(np.unique(merged[before == number])) == 1
        before = merged


@given(maps, edge_maps)
def test_labels_that_are_merged_stay_so(labels, edges):
    merged = merge_weak_borders(labels, edges, 0.5)

    assert (merge_weak_borders(merged, edges, 0.5) == merged).all()


def test_a_closed_strong_curve_stays_and_one_with_a_gap_does_not():
    labels = np.ones((20, 20), dtype=np.int32)
    labels[5:15, 5:15] = 2
    edges = np.zeros((20, 20), dtype=np.float32)
    edges[5:15, 5:15] = 0.9
    edges[7:13, 7:13] = 0
    assert merge_weak_borders(labels, edges, 0.8, 0.1).max() == 2

    edges[:, 12:] = 0  # a side of the four is open
    assert merge_weak_borders(labels, edges, 0.8, 0.1).max() == 1
    assert merge_weak_borders(labels, edges, 0.8, 0.5).max() == 2


def test_refuses_what_does_not_fit():
    labels, edges = np.ones((3, 4), dtype=np.int32), np.zeros((3, 4), dtype=np.float32)
    with pytest.raises(ValueError, match=r"labels \(3, 4\) and edges \(4, 3\)"):
        merge_weak_borders(labels, edges.T, 0.5)
    with pytest.raises(ValueError, match="least and weak_share"):
        merge_weak_borders(labels, edges, 1.5)
