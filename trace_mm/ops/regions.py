"""Attention to regions rather than to single tokens. Ours, not the paper's.

The two colours of a striped object attend each to their own stripes, so that Eq. 2 sees an edge
along every one. Both kinds of stripes lie in the same part of the image, however: summed over
regions that are larger than the texture, their attention is the same, and the stripes fade. The
edges stay as sharp as before, since only the keys are coarse and not the queries.
"""

from functools import reduce

import torch
from torch import Tensor

from trace_mm.ops.divergence import as_floating


def region_attention(
    attention: Tensor, grid: tuple[int, int], cell: int = 1, steps: int = 1
) -> Tensor:
    """Where a token's attention goes, by region, after some steps of a random walk.

    The first step follows the token's own attention A, summed over regions (A P). Every further
    one follows the mean attention of the region's tokens, likewise summed: A P C^(steps - 1). It
    evens out what the members of an object attend to before it leaks into others. Differentiable.

    Args:
        attention: (B, N, N), rows sum to 1; N = h * w, row-major.
        grid: (h, w).
        cell: side of the regions in tokens, at least 1. The grid is cut into
            ceil(h / cell) * ceil(w / cell) = M regions as even as possible.
        steps: at least 1. With ``cell=1, steps=1`` the result is the attention itself.

    Returns:
        (B, N, M), rows sum to 1, in the precision of ``attention`` but at least float32.

    Raises:
        ValueError: if the shape does not fit the grid, or a number is less than 1.
    """
    height, width = grid
    tokens, shape = height * width, tuple(attention.shape)
    if height < 1 or width < 1 or len(shape) != 3 or shape[1:] != (tokens, tokens):
        raise ValueError(f"attention must be (B, h*w, h*w) for grid {grid}, got {shape}")
    if cell < 1 or steps < 1:
        raise ValueError(f"cell and steps must be at least 1, got {cell} and {steps}")
    regions = as_floating(attention)
    if cell > 1:
        rows, columns = _membership(height, cell, regions), _membership(width, cell, regions)
        regions = _sum_rows(regions.unflatten(2, grid), rows)  # (B, N, ceil(h / cell), w)
        regions = _sum_columns(regions, columns).flatten(2)  # (B, N, M)
    if steps == 1:
        return regions
    if cell > 1:
        rows, columns = rows / rows.sum(0), columns / columns.sum(0)
        chain = regions.mT.unflatten(2, grid)  # (B, M, h, w)
        chain = (rows.mT @ (chain @ columns)).flatten(2).mT  # (B, M, M): from region, to region
    else:
        chain = regions
    return regions @ torch.linalg.matrix_power(chain, steps - 1)


def _sum_rows(image: Tensor, membership: Tensor) -> Tensor:
    """Sums (..., r, w) over the rows of an image (..., h, w), by their :func:`_membership`."""
    height, regions = membership.shape
    if height % regions:
        return membership.mT @ image
    rows = image.unflatten(-2, (regions, height // regions)).unbind(-2)  # (..., r, w) each
    return reduce(torch.add, rows)  # as fast as memory is, which a product is not


def _sum_columns(image: Tensor, membership: Tensor) -> Tensor:
    """Sums (..., r) over the columns of an image (..., w), by their :func:`_membership`."""
    width, regions = membership.shape
    if width % regions or width > 4 * regions:  # more than a few passes cost more than a product
        return image @ membership
    columns = image.unflatten(-1, (regions, width // regions)).unbind(-1)  # (..., r) each
    return reduce(torch.add, columns)


def _membership(length: int, cell: int, like: Tensor) -> Tensor:
    """(length, ceil(length / cell)): 1 where a token of one axis belongs to a region, else 0."""
    count = -(-length // cell)
    region = torch.arange(length, device=like.device) * count // length  # (length,)
    return torch.nn.functional.one_hot(region, count).to(like.dtype)
