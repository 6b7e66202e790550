"""How much the attention of each token differs from that of tokens at chosen offsets.

What Eq. 2 sums into one number, kept apart by direction: the input of decoders that learn how to
weigh it and that have to work on any grid.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trace_mm.ops.divergence import EPSILON, as_floating, safe_log

CHUNK_KEYS = 128
CHUNK_ELEMENTS = 1 << 17
"""Keys, and attention entries, worked on at a time on a processor, which caches 512 KiB. Few keys
leave room for many grid rows, of which only the first and last ones are read twice."""
LARGE_CHUNK_ELEMENTS = 1 << 24
"""Entries on other devices, which want much work at a time: 64 MiB of float32."""

Offset = tuple[int, int]
Windows = tuple[tuple[slice, slice], tuple[slice, slice]]


def neighbor_divergence(
    attention: Tensor,
    grid: tuple[int, int],
    offsets: Sequence[Offset],
    chunk_rows: int | None = None,
) -> Tensor:
    """Symmetric KL divergence between the attention of each token and that of its neighbours.

    Channel k at token (i, j) is (KL(A[i, j] || B) + KL(B || A[i, j])) / 2 with B the row of token
    (i, j) + offsets[k], and 0 where that lies outside the grid. Differentiable, by a formula of its
    own: beside the attention and its gradient, only a few grid rows are held.

    Args:
        attention: (B, N, M), rows sum to 1; N = h * w, row-major. M is N, or the number of regions
            of :func:`trace_mm.ops.region_attention`.
        grid: (h, w), any positive numbers.
        offsets: (rows, columns) each, at least one; (1, 0) is the token below.
        chunk_rows: grid rows worked on at a time. It changes speed and memory only. None chooses
            it by size.

    Returns:
        (B, len(offsets), h, w) in nats, at least 0 up to rounding, in the precision of
        ``attention`` but at least float32.

    Raises:
        ValueError: if the grid does not fit the attention, or an argument is empty or not positive.
    """
    height, width = grid
    shape = tuple(attention.shape)
    if height < 1 or width < 1 or len(shape) != 3 or shape[1] != height * width or not shape[2]:
        raise ValueError(f"attention must be (B, h*w, keys) for grid {tuple(grid)}, got {shape}")
    if not offsets:
        raise ValueError("there must be at least one offset")
    if chunk_rows is not None and chunk_rows < 1:
        raise ValueError(f"chunk_rows must be positive, got {chunk_rows}")
    tokens = as_floating(attention).unflatten(1, (height, width))  # (B, h, w, M)
    on_cpu = tokens.device.type == "cpu"
    keys, elements = (CHUNK_KEYS, CHUNK_ELEMENTS) if on_cpu else (shape[2], LARGE_CHUNK_ELEMENTS)
    if chunk_rows is None:
        chunk_rows = max(1, elements // (shape[0] * width * min(keys, shape[2])))
    pairs = tuple((int(rows), int(columns)) for rows, columns in offsets)
    result: Tensor = _NeighborDivergence.apply(tokens, pairs, chunk_rows, keys)
    return result


class _NeighborDivergence(torch.autograd.Function):
    """The loop and its gradient. Autograd's own would fill a map of zeros for every slice."""

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, offsets: tuple[Offset, ...], chunk_rows: int, chunk_keys: int
    ) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.offsets, ctx.chunk_rows, ctx.chunk_keys = offsets, chunk_rows, chunk_keys
        batch, height, width, keys = tokens.shape
        result = tokens.new_zeros(batch, len(offsets), height, width)
        for start, key in product(range(0, height, chunk_rows), range(0, keys, chunk_keys)):
            rows = _rows_with_halo(start, chunk_rows, height, offsets)
            # Side by side in memory: the subtractions below would take three times as long.
            block = tokens[:, rows, :, key : key + chunk_keys].contiguous()  # (B, rows, w, keys)
            logs = safe_log(block)
            for channel, offset in enumerate(offsets):
                windows = _windows(start, chunk_rows, (height, width), offset, rows.start)
                if windows is None:
                    continue
                here, there = ((slice(None), *window) for window in windows)
                top = windows[0][0].start + rows.start
                bottom = windows[0][0].stop + rows.start
                product_of_differences = block[here] - block[there]
                product_of_differences *= logs[here] - logs[there]
                sums = product_of_differences.sum(-1) / 2  # (B, rows, columns)
                result[:, channel, top:bottom, windows[0][1]] += sums
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """d/dp of (p - q)(log p - log q) / 2 is ((log p - log q) + (p - q) / p) / 2."""
        (tokens,) = ctx.saved_tensors
        _, height, width, keys = tokens.shape
        result = torch.zeros_like(tokens)
        chunks = product(range(0, height, ctx.chunk_rows), range(0, keys, ctx.chunk_keys))
        for start, key in chunks:
            rows = _rows_with_halo(start, ctx.chunk_rows, height, ctx.offsets)
            part = slice(None), rows, slice(None), slice(key, key + ctx.chunk_keys)
            block, total = tokens[part].contiguous(), result[part]  # (B, rows, w, keys)
            logs = safe_log(block)
            # Below the clamp the logarithm does not move.
            slopes = torch.where(block >= EPSILON, 1 / block, 0.0)
            for channel, offset in enumerate(ctx.offsets):
                windows = _windows(start, ctx.chunk_rows, (height, width), offset, rows.start)
                if windows is None:
                    continue
                here, there = ((slice(None), *window) for window in windows)
                top = windows[0][0].start + rows.start
                bottom = windows[0][0].stop + rows.start
                half = gradient[:, channel, top:bottom, windows[0][1], None] / 2  # (B, r, c, 1)
                log_difference = logs[here] - logs[there]
                difference = block[here] - block[there]
                total[here] += half * (log_difference + difference * slopes[here])
                total[there] -= half * (log_difference + difference * slopes[there])
        return result, None, None, None


def _rows_with_halo(start: int, chunk_rows: int, height: int, offsets: tuple[Offset, ...]) -> slice:
    """Grid rows of a chunk and of all its neighbours."""
    above = min(0, *(rows for rows, _ in offsets), 0)
    below = max(0, *(rows for rows, _ in offsets), 0)
    return slice(max(0, start + above), min(height, start + chunk_rows + below))


def _windows(
    start: int, chunk_rows: int, grid: tuple[int, int], offset: Offset, first: int
) -> Windows | None:
    """(rows, columns) of the chunk's tokens that have the neighbour, and those of the neighbours.

    Rows count from grid row ``first``. None if no token of the chunk has the neighbour.
    """
    (height, width), (rows, columns) = grid, offset
    top = max(start, -rows)
    bottom = min(start + chunk_rows, height, height - rows)
    left, right = max(0, -columns), min(width, width - columns)
    if top >= bottom or left >= right:
        return None
    here = slice(top - first, bottom - first), slice(left, right)
    there = (
        slice(top + rows - first, bottom + rows - first),
        slice(left + columns, right + columns),
    )
    return here, there
