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
    borders, strengths = border_pixels(labels, edges, len(areas))
    return _gather(areas, borders, np.ones(len(borders)), strengths, strengths)


def border_pixels(
    labels: NDArray[np.integer], edges: NDArray[np.floating], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All pairs of 4-neighbours of different regions (P,), and how strong the edge is there (P,).

    Args:
        labels: (H, W): the region of each pixel, from 0 on.
        edges: (H, W).
        count: R, how many regions there are.

    Returns:
        The border of each pair as lower region * R + higher region; the strengths.
    """
    borders, strengths = [], []
    for one, other in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]):
        differ = labels[one] != labels[other]
        a, b = labels[one][differ].astype(np.int64), labels[other][differ].astype(np.int64)
        borders.append(np.minimum(a, b) * count + np.maximum(a, b))
        strengths.append(np.maximum(edges[one][differ], edges[other][differ]))
    return np.concatenate(borders), np.concatenate(strengths).astype(np.float64)


def _gather(
    areas: NDArray[np.int64],
    keys: NDArray[np.int64],
    lengths: NDArray[np.number],
    totals: NDArray[np.float64],
    weakest: NDArray[np.float64],
) -> RegionGraph:
    """A graph of pieces of borders, those with one key (first * R + second) put together."""
    pairs, border = np.unique(keys, return_inverse=True)
    count, number = len(areas), len(pairs)
    lowest = np.full(number, np.inf)
    np.minimum.at(lowest, border, weakest)
    return RegionGraph(
        areas,
        pairs // count,
        pairs % count,
        np.bincount(border, lengths, number).astype(np.int64),
        np.bincount(border, totals, number).astype(np.float64),
        lowest,
    )


def join_small_regions(
    labels: NDArray[np.integer], edges: NDArray[np.floating], min_area: int
) -> NDArray[np.int32]:
    """Join each region of fewer pixels to the neighbour behind its weakest border, until none is.

    All small regions are joined at once, then what is still small. Of equally weak borders (by
    their mean strength), the one between the smaller regions is taken.

    Args:
        labels: (H, W): the region of each pixel, from 0 on without gaps.
        edges: (H, W).
        min_area: in pixels.

    Returns:
        (H, W): regions from 0 on without gaps, in the order of their lowest old numbers.
    """
    graph = region_graph(labels, edges)
    number = np.arange(len(graph.areas), dtype=np.int32)  # what each region has become part of
    while len(graph.areas) > 1 and graph.areas.min() < min_area:
        order, weakest = weakest_borders(graph, graph.means)
        border = order[weakest[graph.areas < min_area]]  # no region is without borders
        groups = linked_groups(len(graph.areas), graph.first[border], graph.second[border])
        number, graph = groups[number], join_regions(graph, groups)
    return number[labels]


def join_regions(graph: RegionGraph, groups: NDArray[np.integer]) -> RegionGraph:
    """The graph of groups (R,) of regions, numbered from 0 on without gaps."""
    areas = np.bincount(groups, graph.areas).astype(np.int64)
    one, other = groups[graph.first].astype(np.int64), groups[graph.second].astype(np.int64)
    apart = one != other
    keys = np.minimum(one, other) * len(areas) + np.maximum(one, other)
    parts = (graph.lengths, graph.totals, graph.weakest)
    return _gather(areas, keys[apart], *(part[apart] for part in parts))


def weakest_borders(
    graph: RegionGraph, costs: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All borders in the order of their costs (E,), and the place of each region's first (R,).

    Borders of equal costs, such as two that share their strongest pixel, are in the order of the
    area of both regions, then of their numbers. The place is E for a region without borders.

    Args:
        graph: R regions and their E borders.
        costs: (E,).
    """
    order = np.lexsort((graph.areas[graph.first] + graph.areas[graph.second], costs))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first = np.full(len(graph.areas), len(order))
    np.minimum.at(first, graph.first, place)
    np.minimum.at(first, graph.second, place)
    return order, first
