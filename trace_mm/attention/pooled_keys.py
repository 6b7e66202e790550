"""Attention to cells of tokens in the place of single ones, where nobody reads the map."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.attention.layers import AttentionLayer
from trace_mm.attention.tap import AttentionCall, AttentionWatch


class PooledKeys(AttentionWatch):
    """Lets chosen layers attend to the mean key and value of cells of tokens.

    So a layer costs about cell * cell times less. Its result is that of keys and values which are
    the same throughout a cell. Differentiable.

    Args:
        layers: self-attention layers all of whose tokens are the image.
        shape: (h, w) of the model's input.
        cell: side in tokens of the square cells; those at the right and at the bottom are cut off
            by the image.
    """

    def __init__(self, layers: Sequence[AttentionLayer], shape: tuple[int, int], cell: int) -> None:
        def attend(layer: AttentionLayer, call: AttentionCall) -> Tensor:
            if call.is_masked:
                raise ValueError(f"layer {layer.name} masks its attention, which cannot be pooled")
            grid = (shape[0] // layer.stride, shape[1] // layer.stride)
            return attend_to_cells(call.query, call.key, call.value, grid, cell, call.scale)

        super().__init__(layers, attend)


def attend_to_cells(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    grid: tuple[int, int],
    cell: int,
    scale: float | None = None,
) -> Tensor:
    """Attention in which a token's key and value are the means of its cell.

    Args:
        query: (B, heads, n, dim), n = h * w, row-major.
        key: likewise.
        value: likewise.
        grid: (h, w).
        cell: side in tokens of the square cells.
        scale: factor on the logits; None means dim ** -0.5.

    Returns:
        (B, heads, n, dim).

    Raises:
        ValueError: if the keys are not those of the grid.
    """
    height, width = grid
    if key.shape[2] != height * width:
        raise ValueError(f"there must be a key a token of grid {grid}, got {key.shape[2]} keys")
    keys, values = _cell_means(key, grid, cell), _cell_means(value, grid, cell)
    # A cell counts for as many tokens as it has: a factor on its weight, a summand of its logit.
    bias = None
    if height % cell or width % cell:
        rows, columns = _cell_sides(height, cell), _cell_sides(width, cell)
        sizes = [float(r * c) for r in rows for c in columns]
        bias = torch.tensor([[math.log(size) for size in sizes]]).to(query)  # (1, cells)
    return functional.scaled_dot_product_attention(query, keys, values, bias, scale=scale)


def _cell_means(tokens: Tensor, grid: tuple[int, int], cell: int) -> Tensor:
    """(B, heads, cells, dim) of (B, heads, n, dim)."""
    batch, heads, _, dim = tokens.shape
    image = tokens.mT.reshape(batch * heads, dim, *grid)
    means = functional.avg_pool2d(image, cell, ceil_mode=True)  # (B * heads, dim, h', w')
    # Fast kernels want a token's numbers side by side.
    return means.flatten(2).mT.reshape(batch, heads, -1, dim).contiguous()


def _cell_sides(length: int, cell: int) -> list[int]:
    """Tokens that each cell of one axis has."""
    return [min(cell, length - start) for start in range(0, length, cell)]
