"""What tells things from their parts and from groups of them: measures of the nodes of a tree."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.merge_tree import MergeTree
from trace_mm.ops.region_graph import RegionGraph


@dataclass(frozen=True)
class NodeFeatures:
    """Measures of N nodes, each float64 (N,).

    Attributes:
        area: share of the image.
        outline: mean edge strength along the outline, without what lies on the image's rim; 0 for
            the whole image.
        inside: mean edge strength of the pixels.
        rim: share of the outline that lies on the image's rim.
        compactness: 4 pi area / outline^2, with the rim, at most 1; an outline of pixels' sides is
            taken as 4 / pi times as long as what it stands for.
    """

    area: NDArray[np.float64]
    outline: NDArray[np.float64]
    inside: NDArray[np.float64]
    rim: NDArray[np.float64]
    compactness: NDArray[np.float64]


def node_features(
    labels: NDArray[np.integer],
    edges: NDArray[np.floating],
    graph: RegionGraph,
    tree: MergeTree,
) -> NodeFeatures:
    """Measure all nodes of a tree, by sums over regions and borders.

    Args:
        labels: (H, W): the region of each pixel.
        edges: (H, W) in [0, 1].
        graph: of these regions, and of their borders on these edges.
        tree: of these regions.
    """
    count = len(graph.areas)
    strength = np.bincount(labels.ravel(), edges.ravel(), count)
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    on_rim = np.bincount(np.concatenate(sides), minlength=count)
    area, strength, on_rim = tree.sums(np.stack([graph.areas, strength, on_rim], axis=1)).T
    length, total = outlines(graph, tree, np.stack([graph.lengths, graph.totals], axis=1)).T
    perimeter = (length + on_rim) * np.pi / 4
    return NodeFeatures(
        area=area / labels.size,
        outline=total / np.maximum(length, 1),
        inside=strength / area,
        rim=on_rim / (length + on_rim),
        compactness=np.minimum(4 * np.pi * area / perimeter**2, 1),
    )


def outlines(
    graph: RegionGraph, tree: MergeTree, values: NDArray[np.number]
) -> NDArray[np.float64]:
    """Sums over each node's outline (N, F) of values (E, F) of borders."""
    # Borders of all its regions, less, twice, those that have come to lie inside.
    of_region = np.zeros((len(graph.areas), values.shape[1]))
    np.add.at(of_region, graph.first, values)
    np.add.at(of_region, graph.second, values)
    inside = np.zeros((len(tree), values.shape[1]))
    np.add.at(inside, tree.joints(graph.first, graph.second), values)
    for node, (one, other) in enumerate(tree.children.tolist(), start=tree.regions):
        inside[node] += inside[one] + inside[other]
    return np.maximum(tree.sums(of_region) - 2 * inside, 0)
