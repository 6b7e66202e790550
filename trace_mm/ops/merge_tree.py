"""Regions merged one pair after another, and the tree that this makes of them."""

from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.region_graph import RegionGraph, join_regions, weakest_borders

_FEW = 300  # regions, from which on a queue is faster than to merge all pairs that may


@dataclass(frozen=True)
class MergeTree:
    """A binary tree: leaves are R regions, each further node is two nodes merged.

    Nodes 0 to R-1 are the regions, R+m is what merge m makes, later than the nodes within it.
    Regions that no borders connect stay in trees of their own.

    Attributes:
        regions: R.
        children: int64 (M, 2): the two nodes of each merge.
        levels: float64 (R+M,): the strength of the border that each merge does away with, or that
            of an earlier one within it if higher; 0 for regions.
    """

    regions: int
    children: NDArray[np.int64]
    levels: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.levels)

    @cached_property
    def parents(self) -> NDArray[np.int64]:
        """The node that each node becomes part of (R+M,); -1 for roots."""
        parents = np.full(len(self), -1, dtype=np.int64)
        parents[self.children] = np.arange(self.regions, len(self))[:, None]
        return parents

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """Where each node's regions are in :attr:`order`: from the first to before the second."""
        sizes = np.ones(len(self), dtype=np.int64)
        for node, (one, other) in enumerate(self.children.tolist(), start=self.regions):
            sizes[node] = sizes[one] + sizes[other]
        starts = np.zeros(len(self), dtype=np.int64)
        roots = np.flatnonzero(self.parents < 0)
        starts[roots] = np.cumsum(sizes[roots]) - sizes[roots]
        for merge in range(len(self.children) - 1, -1, -1):
            one, other = self.children[merge]
            starts[one] = starts[self.regions + merge]
            starts[other] = starts[one] + sizes[one]
        return np.stack([starts, starts + sizes], axis=1)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The regions in an order in which each node's are side by side (R,)."""
        order = np.empty(self.regions, dtype=np.int64)
        order[self.spans[: self.regions, 0]] = np.arange(self.regions)
        return order

    @cached_property
    def between(self) -> NDArray[np.int64]:
        """The node at which each region in the order comes together with the next (R-1,).

        R+M where that never happens. Those of the merges within a node are side by side.
        """
        between = np.full(max(self.regions - 1, 0), len(self), dtype=np.int64)
        between[self.spans[self.children[:, 0], 1] - 1] = np.arange(self.regions, len(self))
        return between

    def sums(self, values: NDArray[np.number]) -> NDArray[np.float64]:
        """Sums over each node's regions (R+M, ...) of values (R, ...)."""
        total = np.zeros((self.regions + 1, *values.shape[1:]))
        np.cumsum(values[self.order], axis=0, out=total[1:])
        sums: NDArray[np.float64] = total[self.spans[:, 1]] - total[self.spans[:, 0]]
        sums[: self.regions] = values
        return sums

    def joints(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
        """The node at which regions (E,) and others (E,) come together; they must differ.

        Raises:
            ValueError: if two never do.
        """
        between = self.between  # of others than neighbours in the order, the latest in between
        places = self.spans[np.stack([first, second]), 0]
        found = _range_maximum(between, places.min(0), places.max(0))
        if (found == len(self)).any():
            raise ValueError("some of these regions never come together")
        return found


def merge_regions(graph: RegionGraph, size_power: float = 0.0) -> MergeTree:
    """Merge the two regions with the weakest border until no borders are left.

    A border is as weak as its mean strength, which is computed again when borders become one,
    times min(area, area')^size_power. So no merge makes a border weaker than the weaker of the two
    that it puts together, and two regions whose common border is the weakest that either has may
    merge at any time. While there are many, all such pairs merge at once.

    Ties are always broken in the same way, in the end by the numbers of the regions.

    Args:
        graph: the regions and their borders.
        size_power: from 0 on; the higher, the earlier small regions merge.

    Raises:
        ValueError: if ``size_power`` is negative.
    """
    if size_power < 0:
        raise ValueError(f"size_power must not be negative, got {size_power}")
    merges = _Merges(len(graph.areas))
    nodes = np.arange(len(graph.areas))  # the node that each region has become
    while len(graph.areas) > _FEW and len(graph.first):
        graph, nodes = _merge_mutual(graph, nodes, size_power, merges)
    _Merging(graph, nodes, size_power).run(merges)
    children = np.array(merges.children, dtype=np.int64).reshape(-1, 2)
    return MergeTree(merges.regions, children, np.array(merges.levels))


class _Merges:
    """The merges so far, in their order."""

    def __init__(self, regions: int) -> None:
        self.regions = regions
        self.children: list[tuple[int, int]] = []
        self.levels = [0.0] * regions

    def add(self, one: int, other: int, strength: float) -> int:
        """Note a merge of two nodes; the node that it makes."""
        self.children.append((one, other))
        self.levels.append(max(strength, self.levels[one], self.levels[other]))
        return len(self.levels) - 1


def _merge_mutual(
    graph: RegionGraph, nodes: NDArray[np.int64], size_power: float, merges: _Merges
) -> tuple[RegionGraph, NDArray[np.int64]]:
    """Merge all pairs whose border is the weakest of both; the graph and the nodes after it."""
    weights = graph.areas.astype(np.float64) ** size_power
    costs = graph.means * np.minimum(weights[graph.first], weights[graph.second])
    order, weakest = weakest_borders(graph, costs)
    place = np.arange(len(order))
    of_both = (weakest[graph.first[order]] == place) & (weakest[graph.second[order]] == place)
    mutual = order[of_both]
    one, other = graph.first[mutual], graph.second[mutual]
    nodes = nodes.copy()
    pairs = (nodes[one].tolist(), nodes[other].tolist(), graph.means[mutual].tolist())
    nodes[one] = [merges.add(*pair) for pair in zip(*pairs, strict=True)]
    kept = np.ones(len(nodes), dtype=bool)
    kept[other] = False
    groups = np.cumsum(kept) - 1
    groups[other] = groups[one]
    return join_regions(graph, groups), nodes[kept]


class _Merging:
    """A queue of borders, of which costs may be out of date: they are looked at again in turn."""

    def __init__(self, graph: RegionGraph, nodes: NDArray[np.int64], size_power: float) -> None:
        self.power = size_power
        self.areas = graph.areas.tolist()
        self.nodes: list[int] = nodes.tolist()
        self.weights: list[float] = [area**size_power for area in self.areas]
        # Of each region, its borders: neighbour -> (sum of strengths, length).
        self.borders: list[dict[int, tuple[float, int]]] = [{} for _ in self.areas]
        self.queue: list[tuple[float, int, int]] = []
        parts = (graph.first, graph.second, graph.totals, graph.lengths)
        for one, other, total, length in zip(*(part.tolist() for part in parts), strict=True):
            self.borders[one][other] = self.borders[other][one] = (total, length)
            self.queue.append((self.cost(one, other, total, length), one, other))
        heapify(self.queue)

    def cost(self, one: int, other: int, total: float, length: int) -> float:
        weight, more = self.weights[one], self.weights[other]
        return total / length * (weight if weight < more else more)

    def run(self, merges: _Merges) -> None:
        while self.queue:
            cost, one, other = heappop(self.queue)
            border = self.borders[one].get(other)
            if border is None:
                continue  # one of them has merged
            now = self.cost(one, other, *border)
            if now > cost:  # a region has grown; where costs have fallen, the queue was told
                heappush(self.queue, (now, one, other))
            elif now == cost:
                if len(self.borders[one]) < len(self.borders[other]):
                    one, other = other, one
                strength = border[0] / border[1]
                self.nodes[one] = merges.add(self.nodes[one], self.nodes[other], strength)
                self.join(one, other)

    def join(self, one: int, other: int) -> None:
        """Give a region's borders to another."""
        self.areas[one] += self.areas[other]
        self.weights[one] = self.areas[one] ** self.power
        kept, given = self.borders[one], self.borders[other]
        del kept[other], given[one]
        for third, (total, length) in given.items():
            more, longer = kept.get(third, (0.0, 0))
            total, length = total + more, length + longer
            kept[third] = self.borders[third][one] = (total, length)
            del self.borders[third][other]
            cost = self.cost(one, third, total, length)
            heappush(self.queue, (cost, one, third) if one < third else (cost, third, one))
        given.clear()


def _range_maximum(
    values: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Maximum of values[start:end] for each pair (E,), from maxima over powers of two."""
    power = np.frexp(ends - starts)[1] - 1  # the largest power of two in each range
    result = np.empty(len(starts), dtype=np.int64)
    for exponent in range(int(power.max(initial=-1)) + 1):
        chosen = power == exponent
        result[chosen] = np.maximum(values[starts[chosen]], values[ends[chosen] - 2**exponent])
        values = np.maximum(values[: -(2**exponent)], values[2**exponent :])
    return result
