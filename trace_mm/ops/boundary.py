"""Attention Boundary Divergence and its use as an edge map (paper Sec. 3.3, Eq. 2)."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trace_mm.ops.divergence import (
    DIVERGENCES,
    as_floating,
    check_kind,
    js_from_logs,
    kl_from_logs,
    safe_log,
    symmetric_kl_from_logs,
)

CHUNK_ELEMENTS = 1 << 19
"""Attention entries worked on at a time: 2 MiB of float32, which a processor caches."""

Offset = tuple[int, int]
PairScore = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

_LOG_PAIR_SCORES: dict[str, PairScore] = {
    "kl": kl_from_logs,
    "symmetric_kl": symmetric_kl_from_logs,
    "js": js_from_logs,
}

# (rows, columns) from a pixel to the first of two opposite neighbours: below and right as in
# Eq. 2, then the two diagonals.
_OFFSETS: dict[int, tuple[Offset, ...]] = {
    4: ((1, 0), (0, 1)),
    8: ((1, 0), (0, 1), (1, 1), (1, -1)),
}


def attention_boundary_divergence(
    attention: Tensor,
    grid: tuple[int, int],
    divergence: str = "kl",
    neighbors: int = 4,
    chunk_rows: int | None = None,
) -> Tensor:
    """Boundary strength of each token: how much its opposite neighbours' attention differs (Eq. 2).

    ABDiv(i, j) = D(A[i+1, j] || A[i-1, j]) + D(A[i, j+1] || A[i, j-1]). A neighbour that lies
    outside the grid is replaced by the token (i, j) itself. With eight neighbours,
    D(A[i+1, j+1] || A[i-1, j-1]) and D(A[i+1, j-1] || A[i-1, j+1]) are added. Differentiable;
    works a few grid rows at a time, so that the workspace stays small beside ``attention``.

    Args:
        attention: (B, N, M), rows sum to 1; N = h * w, row-major. M is N, or the number of
            regions of :func:`region_attention`.
        grid: (h, w), any positive numbers.
        divergence: a key of ``trace_mm.ops.DIVERGENCES``.
        neighbors: 4 or 8.
        chunk_rows: grid rows (columns if the grid is wider than high) worked on at a time. It
            changes speed and memory only. None chooses it by size.

    Returns:
        (B, 1, h, w), at least 0 up to rounding, in the precision of ``attention`` but at least
        float32.

    Raises:
        ValueError: if the grid does not fit the attention or an option is unknown.

    Examples:
        >>> import torch
        >>> left, right = torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0, 0, 0.5, 0.5])
        >>> attention = torch.stack([left, left, right, right])[None]  # two things
        >>> attention_boundary_divergence(attention, (1, 4), "l1")[0, 0]
        tensor([[0.0000, 0.5000, 0.5000, 0.0000]])
    """
    check_kind(divergence)
    if neighbors not in _OFFSETS:
        raise ValueError(f"neighbors must be 4 or 8, got {neighbors}")
    if chunk_rows is not None and chunk_rows < 1:
        raise ValueError(f"chunk_rows must be positive, got {chunk_rows}")
    tokens = _as_token_grid(attention, grid)  # (B, h, w, M)
    offsets = _OFFSETS[neighbors]
    wide = grid[1] > grid[0]
    if wide:  # Work along the longer side: a chunk is a slice of it and should be small.
        tokens = tokens.transpose(1, 2)
        offsets = tuple((columns, rows) for rows, columns in offsets)
    if chunk_rows is None:
        chunk_rows = max(1, CHUNK_ELEMENTS // tokens[:, 0].numel())
    boundary = _inner_scores(tokens, offsets, divergence, chunk_rows)
    boundary = _add_border_scores(boundary, tokens, offsets, divergence, chunk_rows)
    if wide:
        boundary = boundary.transpose(1, 2)
    return boundary.unsqueeze(1).contiguous()  # (B, 1, h, w)


def _as_token_grid(attention: Tensor, grid: tuple[int, int]) -> Tensor:
    height, width = grid
    shape = tuple(attention.shape)
    if height < 1 or width < 1 or len(shape) != 3 or shape[1] != height * width or not shape[2]:
        raise ValueError(f"attention must be (B, h*w, keys) for grid {grid}, got {shape}")
    return as_floating(attention).reshape(-1, height, width, shape[2])


def _pair_score(kind: str) -> tuple[PairScore, Callable[[Tensor], Tensor]]:
    """The divergence as a function of p, log p, q, log q, and what makes the logs.

    Divergences without a logarithm ignore the logs, so for them the rows themselves stand in.
    """
    if kind in _LOG_PAIR_SCORES:
        return _LOG_PAIR_SCORES[kind], safe_log
    function = DIVERGENCES[kind]
    return lambda p, log_p, q, log_q: function(p, q, -1), lambda rows: rows


def _inner_scores(
    tokens: Tensor, offsets: tuple[Offset, ...], kind: str, chunk_rows: int
) -> Tensor:
    """Sum over offsets of the scores of those tokens that have both neighbours, (B, h, w)."""
    score, log_of = _pair_score(kind)
    batch, height, width, _ = tokens.shape
    boundary = tokens.new_zeros(batch, height, width)
    for start in range(0, height, chunk_rows):
        stop = min(start + chunk_rows, height)
        first = max(start - 1, 0)
        block = tokens[:, first : stop + 1]  # (B, rows with a halo of one, w, M)
        logs = log_of(block)
        for rows, columns in offsets:
            depth, reach = abs(rows), abs(columns)
            top, bottom = max(start, depth), min(stop, height - depth)
            if top >= bottom or width <= 2 * reach:
                continue
            inner = slice(reach, width - reach)
            below = slice(top + rows - first, bottom + rows - first)
            above = slice(top - rows - first, bottom - rows - first)
            ahead = slice(reach + columns, width - reach + columns)
            behind = slice(reach - columns, width - reach - columns)
            boundary[:, top:bottom, inner] += score(
                block[:, below, ahead],
                logs[:, below, ahead],
                block[:, above, behind],
                logs[:, above, behind],
            )
    return boundary


def _add_border_scores(
    boundary: Tensor,
    tokens: Tensor,
    offsets: tuple[Offset, ...],
    kind: str,
    chunk_rows: int,
) -> Tensor:
    """Adds the scores of tokens that lack one neighbour and stand in for it themselves."""
    score, log_of = _pair_score(kind)
    batch, height, width, _ = tokens.shape
    flat = boundary.reshape(batch, height * width)
    for offset in offsets:
        pairs = torch.tensor(list(_border_pairs(height, width, offset)), dtype=torch.long)
        for chunk in torch.split(pairs.reshape(-1, 3).to(tokens.device), chunk_rows * width):
            here, ahead, behind = chunk.unbind(1)
            p = tokens[:, ahead // width, ahead % width]  # (B, pairs, N)
            q = tokens[:, behind // width, behind % width]
            flat = flat.index_add(1, here, score(p, log_of(p), q, log_of(q)))
    return flat.reshape(batch, height, width)


def _border_pairs(height: int, width: int, offset: Offset) -> Iterator[tuple[int, int, int]]:
    """(token, neighbour ahead, neighbour behind) of all tokens that lack exactly one of the two.

    Tokens that lack both are left out: they would be compared with themselves.
    """
    rows, columns = offset

    def index(row: int, column: int) -> int | None:
        inside = 0 <= row < height and 0 <= column < width
        return row * width + column if inside else None

    for row in range(height):
        at_edge = row in (0, height - 1)
        for column in range(width) if at_edge else sorted({0, width - 1}):
            here = row * width + column
            ahead = index(row + rows, column + columns)
            behind = index(row - rows, column - columns)
            if ahead is not None and behind is None:
                yield here, ahead, here
            elif ahead is None and behind is not None:
                yield here, here, behind


def normalize_edges(boundary: Tensor, method: str = "max", quantile: float = 0.99) -> Tensor:
    """Boundary strength as edge strength in [0, 1], each image on its own.

    Negative values (rounding) count as 0, and an image without any boundary stays 0.

    Args:
        boundary: (B, 1, h, w), as :func:`attention_boundary_divergence` returns it.
        method: "max" divides by the image's largest value. "quantile" divides by the smallest
            value that a share ``quantile`` of the image does not exceed and clips, so that a few
            extreme tokens do not dim the rest; where that value is 0 it divides by the largest.
            "none" only clips.
        quantile: share in (0, 1], for "quantile" only.

    Returns:
        (B, 1, h, w) in [0, 1], in the precision of ``boundary`` but at least float32.

    Raises:
        ValueError: if an option is unknown or out of range, the shape is wrong or a value is nan
            or infinite.

    Examples:
        >>> import torch
        >>> normalize_edges(torch.tensor([[[[0.0, 1.0, 4.0]]]]))
        tensor([[[[0.0000, 0.2500, 1.0000]]]])
    """
    if method not in ("max", "quantile", "none"):
        raise ValueError(f"method must be 'max', 'quantile' or 'none', got {method!r}")
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must lie in (0, 1], got {quantile}")
    strength = check_maps(boundary, "boundary").clamp(min=0)
    if method == "none":
        return strength.clamp(max=1)
    scale = strength.amax(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    if method == "quantile":
        values = strength.flatten(1)  # (B, h*w)
        # Not torch.quantile, which refuses more than 16 million values.
        rank = math.ceil(quantile * values.shape[1])
        high = values.kthvalue(rank, dim=1).values.view_as(scale)
        scale = torch.where(high > 0, high, scale)
    return (strength / torch.where(scale > 0, scale, 1)).clamp(max=1)


def upsample_edges(edges: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Edges, or boundary strength, resized from the token grid to the image.

    Args:
        edges: (B, 1, h, w), at least 0 up to rounding.
        size: (H, W) of the image.
        mode: "bilinear" or "bicubic"; token and pixel areas are aligned, not their corners.

    Returns:
        (B, 1, H, W), from 0 to the largest value of each image, where bicubic overshoots.

    Raises:
        ValueError: if an option is wrong, the shape is wrong or a value is nan or infinite.

    Examples:
        >>> import torch
        >>> upsample_edges(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
        tensor([[[[0.0000, 0.2500, 0.7500, 1.0000]]]])
    """
    if mode not in ("bilinear", "bicubic"):
        raise ValueError(f"mode must be 'bilinear' or 'bicubic', got {mode!r}")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size must be (H, W) of at least 1, got {tuple(size)}")
    values = check_maps(edges, "edges")
    resized = F.interpolate(values, size=tuple(size), mode=mode, align_corners=False)
    return torch.minimum(
        resized.clamp(min=0), values.amax(dim=(1, 2, 3), keepdim=True).clamp(min=0)
    )


def token_edges_at(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """Edges at an image's size from boundary strength on the token grid.

    The scale of the strength, which is each image's own, does not matter.

    Args:
        tokens: (B, 1, h, w), at least 0 up to rounding.
        size: (H, W) of the image.

    Returns:
        (B, 1, H, W) in [0, 1].

    Raises:
        ValueError: if the shape is wrong or a value is nan or infinite.
    """
    enlarged = upsample_edges(tokens, (size[0], size[1]), "bicubic")
    return normalize_edges(enlarged).clamp(0, 1)


def check_maps(maps: Tensor, name: str) -> Tensor:
    """Maps (B, 1, h, w) in at least float32.

    Raises:
        ValueError: if the shape is another, or a value is nan or infinite; calls them ``name``.
    """
    if maps.ndim != 4 or maps.shape[1] != 1 or maps.numel() == 0:
        raise ValueError(f"{name} must be (B, 1, h, w), got {tuple(maps.shape)}")
    if not torch.isfinite(maps).all():
        raise ValueError(f"{name} holds nan or infinite values")
    return as_floating(maps, name)
