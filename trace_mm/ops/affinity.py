"""Affinities between pixels that an edge map implies, and the random walk on them (App. C.6)."""

import math
import warnings
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Offset = tuple[int, int]


def neighbor_offsets(radius: int) -> list[Offset]:
    """Half of the neighbours of a pixel: each pair of opposite ones is in it once.

    Args:
        radius: at least 1; neighbours are less than this many pixels away, but not 0.

    Returns:
        (rows, columns) from the pixel to the neighbour, row-major: later in the image than the
        pixel.
    """
    reach = range(-radius + 1, radius)
    return [
        (y, x) for y in range(radius) for x in reach if (y, x) > (0, 0) and y**2 + x**2 < radius**2
    ]


def path_pixels(offset: Offset) -> list[Offset]:
    """The path from a pixel to a neighbour: the pixels between them that their line comes near.

    These are the pixels of the box around both that are less than 1 away from the straight line.
    They hold a path of horizontal and vertical steps, so that no line of edge pixels crosses them
    unseen, not even a diagonal one.

    Args:
        offset: (rows, columns) to the neighbour, not (0, 0).

    Returns:
        Their offsets from the pixel, both ends included.
    """
    rows, columns = offset
    length = math.hypot(rows, columns)
    box_rows = range(min(rows, 0), max(rows, 0) + 1)
    box_columns = range(min(columns, 0), max(columns, 0) + 1)
    return [(y, x) for y in box_rows for x in box_columns if abs(rows * x - columns * y) < length]


def edge_affinities(edges: Tensor, radius: int = 5) -> Tensor:
    """How freely one gets from each pixel to its neighbours: 1 - the strongest edge on the path.

    Args:
        edges: (H, W) in [0, 1].
        radius: neighbours are less than this many pixels away.

    Returns:
        (P, H, W) in [0, 1], for each of ``neighbor_offsets(radius)`` the affinity of a pixel and
        the neighbour there; 0 where that lies outside the image.

    Raises:
        ValueError: if the map is not (H, W), or the radius is less than 1.
    """
    check_edges(edges)
    if radius < 1:
        raise ValueError(f"the radius must be at least 1, got {radius}")
    offsets = neighbor_offsets(radius)
    affinities = edges.new_zeros(len(offsets), *edges.shape)
    height, width = edges.shape
    for affinity, offset in zip(affinities, offsets, strict=True):
        rows = _from_to(offset[0], height)
        columns = _from_to(offset[1], width)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue  # the image is smaller than the step
        strongest = None
        for y, x in path_pixels(offset):
            crossed = edges[_shifted(rows, y), _shifted(columns, x)]
            strongest = crossed if strongest is None else torch.maximum(strongest, crossed)
        if strongest is not None:
            affinity[rows, columns] = 1 - strongest
    return affinities


def random_walk_laplacian(edges: Tensor, radius: int = 5, beta: float = 10) -> Tensor:
    """I - T of the random walk T = D^-1 A^beta; A are the affinities, D the row sums of A^beta.

    A pixel's affinity to itself is 1, on an edge as well, so that no row of A is empty. T itself
    would have entries near 1 at pixels that edges surround, rounded too coarsely for a long walk.

    Args:
        edges: (H, W) in [0, 1], float32 or float64, which is the precision of the result.
        radius: neighbours are less than this many pixels away.
        beta: exponent of the affinities; the larger, the more a weak edge holds back.

    Returns:
        Sparse (CSR) (N, N) with N = H * W, row-major; rows sum to 0. At radius 5 a row has no more
        than 69 entries.

    Raises:
        ValueError: if the map is not (H, W), or a number is out of range.
    """
    if beta <= 0:
        raise ValueError(f"beta must be positive, got {beta}")
    size = edges.shape[0], edges.shape[1]
    affinities = edge_affinities(edges, radius).pow_(beta).flatten(1)  # (P, N)
    pairs, pixels = affinities.shape
    entries = affinities.new_zeros(pixels, 2 * pairs + 1)  # (N, 2P + 1), by rising column
    entries[:, pairs + 1 :] = affinities.T
    for index, (rows, columns) in enumerate(neighbor_offsets(radius)):
        step = rows * size[1] + columns
        if 0 < step < pixels:  # else the grid is too narrow for any such pair
            entries[step:, pairs - 1 - index] = affinities[index, :-step]
    to_others = entries.sum(1, keepdim=True)  # (N, 1)
    entries[:, pairs : pairs + 1] = -to_others
    entries /= -1 - to_others
    starts, columns_of, places = (array.to(edges.device) for array in _sparsity(size, radius))
    values = entries.flatten().index_select(0, places)
    with warnings.catch_warnings():  # of torch, that CSR may still change
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            starts, columns_of, values, (pixels, pixels), check_invariants=False
        )


@lru_cache(maxsize=4)
def _sparsity(size: tuple[int, int], radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which entries a grid has: CSR row starts, columns, and places in (N, 2P + 1); all int32."""
    height, width = size
    half = neighbor_offsets(radius)
    steps = np.array([(-y, -x) for y, x in reversed(half)] + [(0, 0)] + half, dtype=np.int32)
    rows = np.arange(height, dtype=np.int32)[:, None] + steps[:, 0]  # (H, 2P + 1)
    columns = np.arange(width, dtype=np.int32)[:, None] + steps[:, 1]  # (W, 2P + 1)
    row_inside = (rows >= 0) & (rows < height)
    column_inside = (columns >= 0) & (columns < width)
    counts = row_inside.astype(np.int32) @ column_inside.astype(np.int32).T  # (H, W)
    starts = np.zeros(height * width + 1, dtype=np.int32)
    np.cumsum(counts, dtype=np.int32, out=starts[1:])
    neighbors = np.empty(starts[-1], dtype=np.int32)
    places = np.empty(starts[-1], dtype=np.int32)
    for row in range(height):  # line by line, so that little is held besides the result
        first, last = starts[row * width], starts[(row + 1) * width]
        inside = row_inside[row] & column_inside  # (W, 2P + 1)
        neighbors[first:last] = (rows[row] * width + columns)[inside]
        places[first:last] = np.flatnonzero(inside) + row * width * len(steps)
    return torch.from_numpy(starts), torch.from_numpy(neighbors), torch.from_numpy(places)


def check_edges(edges: Tensor) -> None:
    """Refuse what is no edge map.

    Raises:
        ValueError: if it is not float (H, W) with at least one pixel and values in [0, 1].
    """
    if edges.ndim != 2 or edges.numel() == 0 or not edges.is_floating_point():
        raise ValueError(
            f"edges must be a float map (H, W), got {edges.dtype} {tuple(edges.shape)}"
        )
    low, high = edges.aminmax()
    if not (low >= 0 and high <= 1):  # also true for nan
        raise ValueError(f"edges must be in [0, 1], got {low:g} to {high:g}")


def _from_to(step: int, length: int) -> slice:
    """The positions of one axis from which a step stays inside."""
    return slice(max(0, -step), length - max(0, step))


def _shifted(positions: slice, step: int) -> slice:
    return slice(positions.start + step, positions.stop + step)
