import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.region_borders import borders
from trace_mm.ops import join_small_regions, region_graph, watershed_basins

shapes = st.tuples(st.integers(1, 8), st.integers(1, 9))
maps = arrays(np.float64, shapes, elements=st.floats(0, 1, width=32))


@given(maps)
def test_a_border_is_all_pairs_of_pixels_along_it(edges):
    labels = watershed_basins(edges)
    graph = region_graph(labels, edges)
    expected = borders(labels, edges)
    assert list(zip(graph.first, graph.second, strict=True)) == sorted(expected)
    for index, pair in enumerate(sorted(expected)):
        assert graph.lengths[index] == len(expected[pair])
        assert graph.weakest[index] == min(expected[pair])
        np.testing.assert_allclose(graph.means[index], np.mean(expected[pair]))
    assert (graph.areas == [(labels == number).sum() for number in range(labels.max() + 1)]).all()


@given(maps, st.integers(1, 20))
def test_regions_that_are_joined_are_large_enough_and_made_of_whole_regions(edges, min_area):
    labels = watershed_basins(edges)
    joined = join_small_regions(labels, edges, min_area)
    areas = np.bincount(joined.ravel())
    assert len(areas) == 1 or areas.min() >= min_area
    for number in range(labels.max() + 1):
        assert len(np.unique(joined[labels == number])) == 1


def test_a_small_region_joins_the_neighbour_behind_the_weaker_border():
    labels = np.repeat([[0, 0, 0, 1, 2, 2, 2]], 3, axis=0)
    edges = np.repeat([[0, 0, 0.9, 0, 0.2, 0, 0]], 3, axis=0)
    joined = join_small_regions(labels, edges, 4)
    assert joined[0].tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_maps_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        region_graph(np.zeros((2, 3), dtype=int), np.zeros((3, 2)))
