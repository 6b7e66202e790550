import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.region_borders import borders
from trace_mm.ops import (
    contour_map,
    distinct_nodes,
    merge_regions,
    region_graph,
    watershed_basins,
)

# Strengths that all differ and whose sums are exact, of which hypothesis chooses seed and shape.
maps = st.builds(
    lambda height, width, seed: (
        np.random.default_rng(seed).permutation(height * width).reshape(height, width) / 128
    ),
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(0, 10**6),
)
unhurried = settings(deadline=None)
powers = st.sampled_from([0.0, 0.2, 1.0])


def tree_of(edges, power=0.0):
    labels = watershed_basins(edges)
    graph = region_graph(labels, edges)
    return labels, graph, merge_regions(graph, power)


def leaves(tree):
    """The regions of each node, from its children."""
    found = [{region} for region in range(tree.regions)]
    for one, other in tree.children:
        found.append(found[one] | found[other])
    return found


def merged_by_hand(labels, edges, power):
    """Sets of pixels with their levels: the weakest border is done away with, all is counted anew.

    Assumes that no two are equally weak: one pixel of an edge may be the strongest of two borders.
    """
    labels = labels.copy()
    level = dict.fromkeys(np.unique(labels), 0.0)
    found = {}
    while len(np.unique(labels)) > 1:
        strengths = borders(labels, edges)

        costs = {
            pair: np.mean(strength) * min((labels == number).sum() for number in pair) ** power
            for pair, strength in strengths.items()
        }
        (one, other), *others = sorted(costs, key=lambda pair: costs[pair])
        assume(not others or costs[others[0]] > costs[one, other] + 1e-12)
        level[one] = max(np.mean(strengths[one, other]), level[one], level[other])
        labels[labels == other] = one
        found[(labels == one).tobytes()] = level[one]
    return found


@unhurried
@given(maps, powers)
def test_the_weakest_border_is_merged_first(edges, power):
    labels, _, tree = tree_of(edges, power)
    found = {
        np.isin(labels, sorted(regions)).tobytes(): level
        for regions, level in zip(leaves(tree), tree.levels, strict=True)
    }
    expected = merged_by_hand(labels, edges, power)
    assert len(found) == tree.regions + len(expected)
    for mask, level in expected.items():
        assert found[mask] == pytest.approx(level)


@unhurried
@given(maps, powers)
def test_spans_and_sums_are_of_each_nodes_regions(edges, power):
    _, graph, tree = tree_of(edges, power)
    for node, regions in enumerate(leaves(tree)):
        start, end = tree.spans[node]
        assert set(tree.order[start:end]) == regions
        assert tree.sums(graph.areas)[node] == sum(graph.areas[region] for region in regions)


@unhurried
@given(maps, powers)
def test_regions_come_together_at_the_first_node_that_holds_both(edges, power):
    _, graph, tree = tree_of(edges, power)
    joints = tree.joints(graph.first, graph.second)
    for one, other, joint in zip(graph.first, graph.second, joints, strict=True):
        both = [node for node, held in enumerate(leaves(tree)) if {one, other} <= held]
        assert joint == min(both)


@unhurried
@given(maps, powers)
def test_contours_between_pixels_are_the_level_at_which_they_merge(edges, power):
    labels, _, tree = tree_of(edges, power)
    held, contours = leaves(tree), contour_map(labels, tree)
    for row, column in np.ndindex(labels.shape):
        levels = [0.0]
        for near in labels[row + 1 : row + 2, column], labels[row, column + 1 : column + 2]:
            if near.size and near[0] != labels[row, column]:
                both = {labels[row, column], near[0]}
                node = next(node for node, regions in enumerate(held) if both <= regions)
                levels.append(tree.levels[node])
        assert contours[row, column] == max(levels)


@unhurried
@given(maps, powers)
def test_many_regions_merge_as_few_do(edges, power):
    merged_by_hand(watershed_basins(edges), edges, power)  # there are no ties
    expected = nodes_by_mask(edges, power)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trace_mm.ops.merge_tree._FEW", 1)  # all pairs that may merge do so at once
        found = nodes_by_mask(edges, power)
    assert found.keys() == expected.keys()
    for mask, level in expected.items():
        assert found[mask] == pytest.approx(level)


def nodes_by_mask(edges, power=0.0):
    labels, _, tree = tree_of(edges, power)
    return {
        np.isin(labels, sorted(regions)).tobytes(): level
        for regions, level in zip(leaves(tree), tree.levels, strict=True)
    }


@unhurried
@given(maps, st.floats(0.01, 10), st.sampled_from([(0,), (1,), (0, 1)]))
def test_scaling_and_flips_commute(edges, factor, axes):
    merged_by_hand(watershed_basins(edges), edges, 0.0)  # there are no ties
    expected = nodes_by_mask(edges)
    scaled, flipped = nodes_by_mask(edges * factor), nodes_by_mask(np.flip(edges, axes).copy())
    assert scaled.keys() == expected.keys()
    for mask, level in expected.items():
        assert scaled[mask] == pytest.approx(factor * level)
        other = np.flip(np.frombuffer(mask, bool).reshape(edges.shape), axes).tobytes()
        assert flipped[other] == pytest.approx(level)


@unhurried
@given(st.integers(0, 3), st.integers(0, 3), st.integers(3, 6), st.integers(3, 6))
def test_the_inside_of_a_closed_curve_is_a_segment(top, left, height, width):
    edges = np.zeros((12, 13))
    edges[top + 1 : top + height + 3, left + 1 : left + width + 3] = 1
    inside = np.zeros(edges.shape, dtype=bool)
    inside[top + 2 : top + height + 2, left + 2 : left + width + 2] = True
    edges[inside] = 0
    labels, _, tree = tree_of(edges)
    masks = [np.isin(labels, sorted(regions)) for regions in leaves(tree)]
    assert any((mask[edges == 0] == inside[edges == 0]).all() for mask in masks)


@unhurried
@given(maps, st.integers(1, 4))
def test_ties_are_always_broken_the_same_way(edges, steps):
    tied = np.round(edges * steps) / steps
    _, _, tree = tree_of(tied)
    _, _, again = tree_of(tied.copy(order="F"))
    assert (tree.children == again.children).all()
    assert (tree.levels == again.levels).all()


@unhurried
@given(maps, st.floats(0, 1), st.integers(1, 30), st.data())
def test_of_nodes_that_are_nearly_the_same_the_best_is_taken(edges, max_iou, number, data):
    labels, graph, tree = tree_of(edges)
    assume(len(tree) > 1)
    ranks = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-1, 5, len(tree))
    scores = ranks / 4
    masks = [np.isin(labels, sorted(regions)) for regions in leaves(tree)]
    expected = []
    for node in sorted(range(len(tree)), key=lambda node: (-scores[node], -node)):
        same = any(
            (masks[node] & masks[better]).sum() > max_iou * (masks[node] | masks[better]).sum()
            for better in expected
        )
        if scores[node] > 0 and not same:
            expected.append(node)
    areas = tree.sums(graph.areas)
    assert distinct_nodes(tree, areas, scores, max_iou, number) == expected[:number]


def test_regions_without_a_common_border_never_come_together():
    graph = region_graph(np.array([[0, 1, 2, 2]]), np.zeros((1, 4)))
    cut = type(graph)(graph.areas, *(getattr(graph, name)[:1] for name in
                      ("first", "second", "lengths", "totals", "weakest")))  # fmt: skip
    tree = merge_regions(cut)
    assert tree.parents.tolist() == [3, 3, -1, -1]
    with pytest.raises(ValueError, match="never"):
        tree.joints(np.array([0]), np.array([2]))


def test_a_negative_power_is_refused():
    with pytest.raises(ValueError, match="size_power"):
        merge_regions(region_graph(np.array([[0, 1]]), np.zeros((1, 2))), -1.0)
