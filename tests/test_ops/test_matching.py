"""Matching against brute force, and its invariants."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.sparse import csr_array

from trace_mm.ops import candidate_graph, match_edges, maximum_matching
from trace_mm.ops.matching import stack_graphs

DISTANCES = [0.0, 1.0, 1.2, 2**0.5, 2.0, 3.1]


@st.composite
def map_pairs(draw, longest=7):
    shape = (draw(st.integers(1, longest)), draw(st.integers(1, longest)))
    return tuple(draw(arrays.arrays(np.bool_, shape)) for _ in range(2))


def most_pairs(prediction, target, max_distance):
    """Size of the largest matching, by trying to place one prediction after the other."""
    points, goals = np.argwhere(prediction), np.argwhere(target)
    owner = {}

    def place(i, seen):
        for j, goal in enumerate(goals):
            if j not in seen and np.linalg.norm(points[i] - goal) <= max_distance:
                seen.add(j)
                if j not in owner or place(owner[j], seen):
                    owner[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(points)))


def most_pairs_by_enumeration(near):
    """Size of the largest matching of bool (P, T): every subset, no algorithm."""
    if not len(near):
        return 0
    best = most_pairs_by_enumeration(near[1:])  # the first row stays unmatched
    for column in np.flatnonzero(near[0]):
        rest = near[1:].copy()
        rest[:, column] = False
        best = max(best, 1 + most_pairs_by_enumeration(rest))
    return best


@given(map_pairs(), st.sampled_from(DISTANCES))
@settings(max_examples=200, deadline=None)
def test_number_of_matches_is_the_maximum(pair, max_distance):
    prediction, target = pair
    matched_prediction, matched_target = match_edges(prediction, target, max_distance)
    assert not (matched_prediction & ~prediction).any()
    assert not (matched_target & ~target).any()
    assert matched_prediction.sum() == matched_target.sum()
    assert matched_prediction.sum() == most_pairs(prediction, target, max_distance)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 5))))
@settings(max_examples=150, deadline=None)
def test_matching_of_any_graph_against_enumeration(near):
    rows, columns = np.nonzero(near)
    row_ends = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
    graph = csr_array((np.ones(len(rows), dtype=np.uint32), columns, row_ends), shape=near.shape)
    partner = maximum_matching(graph)
    matched = np.flatnonzero(partner >= 0)
    assert near[matched, partner[matched]].all()
    assert len(set(partner[matched])) == len(matched) == most_pairs_by_enumeration(near)


@given(map_pairs(), st.sampled_from(DISTANCES))
@settings(max_examples=100, deadline=None)
def test_same_number_when_roles_swap_or_the_maps_turn(pair, max_distance):
    prediction, target = pair
    count = match_edges(prediction, target, max_distance)[0].sum()
    assert match_edges(target, prediction, max_distance)[0].sum() == count
    turned = match_edges(np.rot90(prediction), np.rot90(target), max_distance)
    assert turned[0].sum() == count


@given(map_pairs(), st.sampled_from(DISTANCES))
@settings(max_examples=100, deadline=None)
def test_candidate_graph_is_all_pairs_from_near_to_far(pair, max_distance):
    prediction, target = pair
    graph = candidate_graph(prediction, target, max_distance)
    points, goals = np.argwhere(prediction), np.argwhere(target)
    assert graph.shape == (len(points), len(goals))
    for row, point in enumerate(points):
        distances = np.linalg.norm(goals - point, axis=1)
        near = np.flatnonzero(distances <= max_distance)
        stored = graph.indices[graph.indptr[row] : graph.indptr[row + 1]]
        ranks = graph.data[graph.indptr[row] : graph.indptr[row + 1]]
        assert sorted(stored) == near.tolist()
        assert (np.diff(distances[stored]) >= 0).all()
        assert (np.diff(ranks.astype(int)) >= 0).all()
        assert ((ranks == 1) == (distances[stored] == 0)).all()


@given(st.lists(map_pairs(), min_size=1, max_size=4), st.sampled_from(DISTANCES))
@settings(max_examples=60, deadline=None)
def test_graphs_that_are_matched_together(pairs, max_distance):
    graphs = [candidate_graph(*pair, max_distance) for pair in pairs]
    together = stack_graphs(graphs)
    assert (together.toarray() == block_diag(*(graph.toarray() for graph in graphs))).all()
    first_columns = np.cumsum([0, *(graph.shape[1] for graph in graphs)])
    alone = [
        np.where(partner < 0, -1, partner + start)
        for partner, start in zip(map(maximum_matching, graphs), first_columns, strict=False)
    ]
    assert maximum_matching(together).tolist() == np.concatenate(alone).tolist()


def test_a_target_is_used_once():
    prediction, target = np.zeros((2, 5, 9), dtype=bool)
    prediction[1, :] = prediction[3, :] = target[2, :] = True  # a double response to one line
    matched_prediction, matched_target = match_edges(prediction, target, 1.0)
    assert matched_prediction.sum() == 9
    assert matched_target.sum() == 9


def test_near_predictions_go_first():
    prediction, target = np.zeros((2, 5, 9), dtype=bool)
    prediction[0, :] = prediction[3, :] = target[2, :] = True
    matched_prediction, _ = match_edges(prediction, target, 2.0)
    assert matched_prediction[3].all()
    assert not matched_prediction[0].any()


def test_distance_is_inclusive():
    prediction, target = np.zeros((2, 4, 4), dtype=bool)
    prediction[0, 0] = target[1, 1] = True
    assert match_edges(prediction, target, 2**0.5)[0].any()
    assert not match_edges(prediction, target, 1.41)[0].any()


def test_long_augmenting_path():
    """Every prediction must move by one for the last to find a place."""
    prediction, target = np.zeros((2, 1, 400), dtype=bool)
    prediction[0, :-1] = target[0, 1:] = True
    assert match_edges(prediction, target, 1.0)[0].sum() == 399


def test_dense_contention_ends_soon():
    """Many more predictions than targets: the case in which SciPy's matching takes forever."""
    rng = np.random.default_rng(0)
    prediction, target = rng.random((100, 100)) < 0.5, np.zeros((100, 100), dtype=bool)
    target[::12, :] = True
    matched_prediction, matched_target = match_edges(prediction, target, 4.3)
    assert matched_prediction.sum() == matched_target.sum() == target.sum()


def test_odd_inputs():
    for pair in (np.zeros((2, 3, 4)), np.zeros((2, 0, 4))):
        matched = match_edges(*pair, 2.0)
        assert matched[0].shape == pair[0].shape
        assert not matched[0].any()
    with pytest.raises(ValueError, match="one size"):
        match_edges(np.zeros((3, 4)), np.zeros((4, 3)), 1.0)
    for distance in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="max_distance"):
            match_edges(np.zeros((3, 4)), np.zeros((3, 4)), distance)
