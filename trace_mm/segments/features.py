"""What tells things from their parts and from groups of them: measures of the nodes of a tree."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from trace_mm.ops.merge_tree import MergeTree
from trace_mm.ops.region_graph import RegionGraph, border_pixels

_BINS = 32
_LOW_SHARE = 0.1  # of an outline, that may be weaker than what counts as its weakest part


@dataclass(frozen=True)
class NodeFeatures:
    """Measures of N nodes, each float64 (N,).

    Attributes:
        area: share of the image.
        outline: mean edge strength along the outline, without what lies on the image's rim; 0 for
            the whole image.
        weakest: the edge strength that a tenth of the outline stays below, to a 32nd.
        rim: share of the outline that lies on the image's rim.
        compactness: 4 pi area / outline^2, with the rim, at most 1; an outline of pixels' sides is
            taken as 4 / pi times as long as what it stands for.
    """

    area: NDArray[np.float64]
    outline: NDArray[np.float64]
    weakest: NDArray[np.float64]
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
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    on_rim = np.bincount(np.concatenate(sides), minlength=len(graph.areas))
    area, rim = tree.sums(np.stack([graph.areas, on_rim], axis=1)).T
    counts = border_histograms(labels, edges, graph, _BINS)
    values = np.column_stack([graph.lengths, graph.totals, counts])
    length, total, *counted = outlines(graph, tree, values).T
    below = np.cumsum(counted, axis=0)  # (bins, N)
    weakest = (below < _LOW_SHARE * length).sum(axis=0)
    perimeter = (length + rim) * np.pi / 4
    return NodeFeatures(
        area=area / labels.size,
        outline=np.where(length > 0, total / np.maximum(length, 1), 0),
        weakest=np.where(length > 0, (weakest + 0.5) / _BINS, 0),
        rim=rim / (length + rim),
        compactness=np.minimum(4 * np.pi * area / perimeter**2, 1),
    )


def border_histograms(
    labels: NDArray[np.integer], edges: NDArray[np.floating], graph: RegionGraph, bins: int
) -> NDArray[np.int64]:
    """How many pairs of pixels of each border are how strong: (E, bins), over [0, 1]."""
    borders, strengths = border_pixels(labels, edges, len(graph.areas))
    border = np.searchsorted(graph.first * len(graph.areas) + graph.second, borders)
    level = np.clip((strengths * bins).astype(np.int64), 0, bins - 1)
    size = len(graph.first) * bins
    return np.bincount(border * bins + level, minlength=size).reshape(-1, bins)


def outlines(
    graph: RegionGraph, tree: MergeTree, values: NDArray[np.number]
) -> NDArray[np.float64]:
    """Sums over each node's outline (N, F) of values (E, F) of borders."""
    # Borders of all its regions, less, twice, those that have come to lie inside.
    borders = np.arange(len(graph.first))
    ends = (np.concatenate([graph.first, graph.second]), np.tile(borders, 2))
    shape = (len(graph.areas), len(borders))
    of_region = scipy.sparse.coo_array((np.ones(len(ends[0])), ends), shape).tocsr() @ values
    joints = (tree.joints(graph.first, graph.second), borders)
    shape = (len(tree) + 1, len(borders))
    done_away = scipy.sparse.coo_array((np.ones(len(borders)), joints), shape).tocsr() @ values
    total = np.zeros((tree.regions, values.shape[1]))
    np.cumsum(done_away[tree.between], axis=0, out=total[1:])
    starts, ends_of = tree.spans.T
    inside = total[ends_of - 1] - total[starts]
    return np.maximum(tree.sums(of_region) - 2 * inside, 0)
