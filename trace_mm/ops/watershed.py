"""Watershed basins: what drains into one minimum of an edge map is one region."""

import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.linked_groups import linked_groups

_STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def watershed_basins(edges: NDArray[np.floating]) -> NDArray[np.int32]:
    """The basin of each pixel, by steepest descent from pixel to pixel of the 4-neighbourhood.

    A pixel drains into its lowest neighbour if that is lower than itself, and a pixel of a plateau
    into where the nearest way over the plateau leads down. Plateaus without a way down are minima,
    and each is a basin. There are no pixels between basins: a line of edges is shared out.

    Of ways down that are equally steep or near, the first in the order up, down, left, right is
    taken, so that the result is always the same.

    Args:
        edges: (H, W), finite; only the order of values matters.

    Returns:
        (H, W): numbers from 0 on without gaps, in the order of the minima's first pixels.

    Raises:
        ValueError: if the shape does not fit, or a value is not finite.

    Examples:
        >>> import numpy as np
        >>> watershed_basins(np.array([[0.0, 0.1, 0.9, 0.2, 0.0]])).tolist()
        [[0, 0, 0, 1, 1]]
    """
    if edges.ndim != 2 or edges.size == 0:
        raise ValueError(f"edges must be (H, W) and not empty, got {edges.shape}")
    if not np.isfinite(edges).all():
        raise ValueError("edges must be finite")
    height, width = edges.shape
    walled = np.full((height + 2, width + 2), np.inf, dtype=edges.dtype)
    walled[1:-1, 1:-1] = edges
    stride = width + 2  # pixels are numbered by their place in the walled map, row by row
    values = walled.ravel()
    inside = (np.arange(1, height + 1)[:, None] * stride + np.arange(1, width + 1)).ravel()
    target = _steepest(walled, stride)
    minima = _cross_plateaus(values, target, inside, stride)
    numbers = np.full(values.size, -1, dtype=np.int32)
    numbers[minima] = _components(values, minima, stride)
    while not np.array_equal(following := target[target], target):
        target = following
    return numbers[target[inside]].reshape(height, width)


def _steepest(walled: NDArray[np.floating], stride: int) -> NDArray[np.int64]:
    """For each pixel its lowest neighbour, or itself if none is lower."""
    height, width = walled.shape[0] - 2, walled.shape[1] - 2
    lowest = walled[1:-1, 1:-1].copy()
    step = np.zeros((height, width), dtype=np.int64)
    for down, right in _STEPS:
        value = walled[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        lower = value < lowest
        np.copyto(lowest, value, where=lower)
        np.copyto(step, down * stride + right, where=lower)
    target = np.arange(walled.size, dtype=np.int64)
    target.reshape(walled.shape)[1:-1, 1:-1] += step
    return target


def _cross_plateaus(
    values: NDArray[np.floating],
    target: NDArray[np.int64],
    inside: NDArray[np.int64],
    stride: int,
) -> NDArray[np.int64]:
    """Lead plateaus to their ways down, in ``target``; the pixels from which none leads down."""
    level = target == np.arange(target.size)
    front = inside[~level[inside]]
    while len(front):
        reached = []
        for down, right in _STEPS[::-1]:  # what a later one finds stands
            neighbour = front - (down * stride + right)
            leads = level[neighbour] & (values[neighbour] == values[front])
            target[neighbour[leads]] = front[leads]
            reached.append(neighbour[leads])
        front = np.unique(np.concatenate(reached))
        level[front] = False
    return inside[level[inside]]


def _components(
    values: NDArray[np.floating], minima: NDArray[np.int64], stride: int
) -> NDArray[np.int32]:
    """Number of the minimum of each pixel, where neighbours of one value are one minimum."""
    place = np.full(values.size, -1, dtype=np.int64)
    place[minima] = np.arange(len(minima))
    links = []
    for step in (1, stride):
        joined = (place[minima + step] >= 0) & (values[minima + step] == values[minima])
        links.append(np.stack([minima[joined], minima[joined] + step]))
    first, second = place[np.concatenate(links, axis=1)]
    return linked_groups(len(minima), first, second)
