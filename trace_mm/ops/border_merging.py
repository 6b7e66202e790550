"""Segments united again where the edge along their common border is weak. Ours, not the paper's."""

import heapq

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.label_maps import LabelMap

_Strengths = dict[int, dict[int, NDArray[np.float32]]]


def merge_weak_borders(
    labels: LabelMap,
    edges: NDArray[np.float32],
    least: float,
    weak_share: float = 0.1,
    reach: int = 1,
) -> LabelMap:
    """Unite neighbouring segments unless an edge runs along the whole of their common border.

    A border is the pairs of pixels of two segments that share a side. The strength of a pair is the
    strongest edge within ``reach`` pixels of one of the two. The evidence of a border of n pairs is
    the strength number floor(weak_share (n - 1)) by rising strength, from 0: that share of it may
    be weaker. The border of the least evidence is undone first, and what the two become is measured
    again, until all evidence is above ``least``. So a larger ``least`` leaves the same borders or
    fewer.

    Args:
        labels: (H, W), 0 is no segment and no neighbour.
        edges: (H, W) in [0, 1].
        least: borders up to this evidence are undone, in [0, 1]. At 0 those without any edge are.
        weak_share: in [0, 1].
        reach: how far an edge may be from the border, in pixels.

    Returns:
        (H, W) with the lowest number of those that are united.

    Raises:
        ValueError: if the sizes differ or a number is out of range.
    """
    if labels.shape != edges.shape:
        raise ValueError(f"labels {labels.shape} and edges {edges.shape} (H, W) differ")
    if not (0 <= least <= 1 and 0 <= weak_share <= 1 and reach >= 0):
        raise ValueError(
            f"least and weak_share must be in [0, 1] and reach not negative, got {least}, "
            f"{weak_share} and {reach}"
        )
    strengths = _border_strengths(labels, edges, reach)
    found = [
        (_evidence(values, weak_share), first, second, len(values))
        for first, beside in strengths.items()
        for second, values in beside.items()
        if first < second
    ]
    heapq.heapify(found)
    table = np.arange(int(labels.max(initial=0)) + 1, dtype=np.int32)
    while found and found[0][0] <= least:
        _, first, second, length = heapq.heappop(found)
        current = strengths.get(first, {}).get(second)
        if current is None or len(current) != length:
            continue  # one of the two is gone, or their border has grown since
        table[table == second] = first
        for other in _unite(strengths, first, second):
            values = strengths[first][other]
            pair = (min(first, other), max(first, other))
            heapq.heappush(found, (_evidence(values, weak_share), *pair, len(values)))
    return table[labels]


def _unite(strengths: _Strengths, first: int, second: int) -> list[int]:
    """Make the borders of the second segment those of the first; which neighbours had both."""
    grown = []
    for other, values in strengths.pop(second).items():
        del strengths[other][second]
        if other == first:
            continue
        if other in strengths[first]:
            values = np.concatenate([strengths[first][other], values])
        strengths[first][other] = strengths[other][first] = values
        grown.append(other)
    return grown


def _evidence(values: NDArray[np.float32], weak_share: float) -> float:
    index = int(weak_share * (len(values) - 1))
    return float(np.partition(values, index)[index])


def _border_strengths(labels: LabelMap, edges: NDArray[np.float32], reach: int) -> _Strengths:
    """For each segment with neighbours, the strengths (n,) of the pairs it shares with each."""
    window = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    near = np.asarray(cv2.dilate(edges, window), dtype=np.float32)  # (H, W)
    first = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])  # (P,)
    second = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    values = np.concatenate(
        [np.maximum(near[:, :-1], near[:, 1:]).ravel(), np.maximum(near[:-1], near[1:]).ravel()]
    )
    border = (first != second) & (first > 0) & (second > 0)
    first, second, values = first[border], second[border], values[border]
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((high, low))
    low, high, values = low[order], high[order], values[order]
    starts = np.flatnonzero(np.diff(low, prepend=0) | np.diff(high, prepend=0))
    strengths: _Strengths = {}
    stops = np.append(starts[1:], len(low))[: len(starts)]
    for start, stop in zip(starts, stops, strict=True):
        one, other = int(low[start]), int(high[start])
        strengths.setdefault(one, {})[other] = values[start:stop]
        strengths.setdefault(other, {})[one] = values[start:stop]
    return strengths
