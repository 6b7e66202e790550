"""Sizes of matchings that change, against matchings made anew."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from trace_mm.ops import candidate_graph, matching_sizes, maximum_matching


def graph_of(near):
    rows, columns = np.nonzero(near)
    row_ends = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
    return csr_array((np.ones(len(rows), dtype=np.uint32), columns, row_ends), shape=near.shape)


def most_pairs(near):
    """Size of the largest matching of bool (P, T): rows are placed by themselves, one by one."""
    owner = {}

    def place(row, seen):
        for column in np.flatnonzero(near[row]):
            if column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in range(len(near)))


@st.composite
def cases(draw):
    """Who is near whom, bool (P, T), and sets of rows, bool (P, S), as different as can be."""
    rows, columns, sets = draw(st.integers(0, 9)), draw(st.integers(0, 7)), draw(st.integers(1, 8))
    near = draw(arrays.arrays(np.bool_, (rows, columns)))
    return near, draw(arrays.arrays(np.bool_, (rows, sets)))


@given(cases())
@settings(max_examples=400, deadline=None)
def test_sizes_of_any_sets(case):
    near, present = case
    sizes = matching_sizes(graph_of(near), present)
    assert sizes.tolist() == [most_pairs(near[rows]) for rows in present.T]


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_come_and_go_on_a_map(seed):
    """Long lines, wide radius: long paths, and regions with more rows than columns."""
    rng = np.random.default_rng(seed)
    target = np.zeros((40, 50), dtype=bool)
    target[8, 3:40] = target[5:35, 25] = target[30, ::2] = True
    prediction = rng.random(target.shape) < (0.1, 0.2, 0.4, 0.8)[seed]
    graph = candidate_graph(prediction, target, (1.0, 2.0, 3.0, 5.0)[seed])
    last = rng.random(graph.shape[0])
    present = last[:, None] > np.linspace(0, 1, 30)
    present ^= rng.random(present.shape) < 0.05  # not nested
    expected = [
        np.count_nonzero(maximum_matching(graph[np.flatnonzero(rows)]) >= 0) for rows in present.T
    ]
    assert matching_sizes(graph, present).tolist() == expected


def test_a_row_that_goes_is_replaced_from_afar():
    """All columns are taken, and only the row at the far end is free."""
    near = np.eye(6, 5, dtype=bool) | np.eye(6, 5, k=-1, dtype=bool)  # a chain
    present = np.ones((6, 3), dtype=bool)
    present[0, 1] = present[[0, 3], 0] = False
    assert matching_sizes(graph_of(near), present).tolist() == [4, 5, 5]


def test_wrong_number_of_rows():
    with pytest.raises(ValueError, match="3 predictions"):
        matching_sizes(graph_of(np.ones((3, 2), dtype=bool)), np.ones((2, 4), dtype=bool))
