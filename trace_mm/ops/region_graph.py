"""The graph of the regions of an image: which of them touch, and the edges between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.linked_groups import linked_groups


@dataclass(frozen=True)
class RegionGraph:
    """Regions and the borders between them; E pairs of regions touch.

    Attributes:
        areas: int64 (R,): pixels of each region.
        first: int64 (E,): the region of the lower number on one side of each border.
        second: int64 (E,): the one on the other side. Pairs are in rising order.
        lengths: int64 (E,): pairs of neighbouring pixels, one on each side.
        totals: float64 (E,): sum of the edge strengths of these pairs.
        weakest: float64 (E,): the lowest of these strengths.
    """

    areas: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    lengths: NDArray[np.int64]
    totals: NDArray[np.float64]
    weakest: NDArray[np.float64]

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean strength of each border (E,)."""
        return self.totals / self.lengths


def region_graph(labels: NDArray[np.integer], edges: NDArray[np.floating]) -> RegionGraph:
    """Regions and their borders: between 4-neighbours, an edge is as strong as at the stronger one.

    Args:
        labels: (H, W): the region of each pixel, from 0 on without gaps.
        edges: (H, W).

    Raises:
        ValueError: if the shapes differ.
    """
    if labels.shape != edges.shape or labels.ndim != 2:
        raise ValueError(
            f"labels {labels.shape} and edges {edges.shape} must be (H, W) of one size"
        )
    areas = np.bincount(labels.ravel())
    count = len(areas)
    keys, strengths = [], []
    for one, other in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]):
        a, b = labels[one].astype(np.int64), labels[other].astype(np.int64)
        differ = a != b
        a, b = a[differ], b[differ]
        keys.append(np.minimum(a, b) * count + np.maximum(a, b))
        strengths.append(np.maximum(edges[one][differ], edges[other][differ]))
    strength = np.concatenate(strengths).astype(np.float64)
    pairs, border = np.unique(np.concatenate(keys), return_inverse=True)
    weakest = np.full(len(pairs), np.inf)
    np.minimum.at(weakest, border, strength)
    lengths = np.bincount(border, minlength=len(pairs))
    totals = np.bincount(border, strength, len(pairs)).astype(np.float64)
    return RegionGraph(areas, pairs // count, pairs % count, lengths, totals, weakest)


def join_small_regions(
    labels: NDArray[np.integer], edges: NDArray[np.floating], min_area: int
) -> NDArray[np.int32]:
    """Join each region of fewer pixels to the neighbour behind its weakest border, until none is.

    All small regions are joined at once, then what is still small. Of equally weak borders (by
    their mean strength), the one to the neighbour of the lowest number is taken.

    Args:
        labels: (H, W): the region of each pixel, from 0 on without gaps.
        edges: (H, W).
        min_area: in pixels.

    Returns:
        (H, W): regions from 0 on without gaps, in the order of their lowest old numbers.
    """
    joined = labels.astype(np.int32)
    while True:
        graph = region_graph(joined, edges)
        count = len(graph.areas)
        if count == 1 or graph.areas.min() >= min_area:
            return joined
        own = np.concatenate([graph.first, graph.second])
        other = np.concatenate([graph.second, graph.first])
        order = np.lexsort((other, np.tile(graph.means, 2), own))
        order = order[graph.areas[own[order]] < min_area]
        weakest = order[np.flatnonzero(np.diff(own[order], prepend=-1))]
        joined = linked_groups(count, own[weakest], other[weakest])[joined]
