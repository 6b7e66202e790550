import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.ops import merge_regions, region_graph, watershed_basins
from trace_mm.segments import node_features

maps = st.builds(
    lambda height, width, seed: np.random.default_rng(seed).random((height, width)),
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(0, 10**6),
)


def outline(mask, edges):
    """Strengths along a mask's outline, and how many sides of its pixels lie on the image's rim."""
    strengths, rim = [], 0
    height, width = mask.shape
    for row, column in np.argwhere(mask):
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if not (0 <= y < height and 0 <= x < width):
                rim += 1
            elif not mask[y, x]:
                strengths.append(max(edges[row, column], edges[y, x]))
    return sorted(strengths), rim


@settings(deadline=None)
@given(maps)
def test_features_are_those_of_the_mask_of_each_node(edges):
    labels = watershed_basins(edges)
    graph = region_graph(labels, edges)
    tree = merge_regions(graph)
    features = node_features(labels, edges, graph, tree)
    for node, (start, end) in enumerate(tree.spans):
        mask = np.isin(labels, tree.order[start:end])
        strengths, rim = outline(mask, edges)
        sides = len(strengths) + rim
        np.testing.assert_allclose(features.area[node], mask.mean())
        np.testing.assert_allclose(features.rim[node], rim / sides)
        round_area = (sides * np.pi / 4) ** 2 / (4 * np.pi)  # of a disc with such an outline
        np.testing.assert_allclose(features.compactness[node], min(mask.sum() / round_area, 1))
        if not strengths:
            assert features.outline[node] == features.weakest[node] == 0
            continue
        np.testing.assert_allclose(features.outline[node], np.mean(strengths))
        weak = strengths[int(np.ceil(len(strengths) / 10)) - 1]
        assert abs(features.weakest[node] - weak) <= 1 / 64 + 1e-9
