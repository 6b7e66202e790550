"""The self-attention map by a fused kernel, for GPUs.

Two passes over the keys, tile by tile: the first keeps the log-sum-exp of each row of logits, the
second adds up the softmax over heads in registers and writes each entry of the map once. No tensor
(heads, n, n) exists.
"""

import contextlib
import math
import os
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

MAX_DIM = 256
"""The widest heads whose tiles fit into a GPU's shared memory."""

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_HALF_TILES = {64: (128, 128, 8), 128: (128, 64, 8), 256: (64, 64, 4)}
"""Queries, keys and warps of a tile, by the width of heads up to which they hold. Two stages of
them need at most 65 KiB of shared memory on Ampere GPUs and 129 KiB on Hopper and later."""
_FLOAT_TILE = (32, 32, 4)
"""The same for float32, whose exact products need many registers."""


def fused_is_available(query: Tensor) -> bool:
    """Whether the kernel can run for such a query: Triton, and a GPU from Ampere on.

    Triton builds a launcher with a C compiler and Python's headers when a kernel first runs. With
    ``TRITON_INTERPRET=1`` in the environment, Triton's interpreter serves CPU tensors, slowly.
    """
    if query.dtype not in _DTYPES or query.shape[-1] > MAX_DIM or find_spec("triton") is None:
        return False
    if query.is_cuda:
        return torch.cuda.get_device_capability(query.device) >= (8, 0) and _can_build()
    return query.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _can_build() -> bool:
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return bool(compiler) and (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def fused_attention_map(
    query: Tensor, key: Tensor, scale: float, total: Tensor | None = None
) -> Tensor:
    """Mean over heads of softmax(Q K^T * scale), in float32 (Eq. 6 and 7). Not differentiable.

    Args:
        query: (B, heads, n, dim), float32, bfloat16 or float16, of any strides; dim at most 256.
        key: (B, heads, n, dim), of the same dtype.
        scale: factor on the logits.
        total: (B, n, n) float32, to which the map is added in place.

    Returns:
        (B, n, n), rows sum to 1; or the total.

    Raises:
        ValueError: if the kernel is not available for these tensors.
    """
    if not fused_is_available(query) or key.dtype != query.dtype:
        raise ValueError(
            "the fused attention map needs Triton with a C compiler, a GPU from Ampere on, float32 "
            f"or half precision and heads of at most {MAX_DIM}; got {query.dtype} and "
            f"{key.dtype} on {query.device} with heads of {query.shape[-1]}"
        )
    from trace_mm.attention.triton_kernels import log_sum_exp_kernel, mean_map_kernel

    batch, heads, tokens, dim = query.shape
    constants = tile_options(query.dtype, dim)
    row_tiles = -(-tokens // constants["QUERY_BLOCK"])
    column_tiles = -(-tokens // constants["KEY_BLOCK"])
    constants |= {"HEADS": heads, "KEY_TILES": column_tiles}
    log_sum_exp = query.new_empty(batch, heads, tokens, dtype=torch.float32)
    result = total
    if result is None:
        result = query.new_empty(batch, tokens, tokens, dtype=torch.float32)
    sizes = (scale * math.log2(math.e), tokens, dim, *query.stride(), *key.stride())
    # Triton launches on the current device, which need not be the tensor's.
    with torch.cuda.device(query.device) if query.is_cuda else contextlib.nullcontext():
        log_sum_exp_kernel[(row_tiles * heads, batch)](query, key, log_sum_exp, *sizes, **constants)
        mean_map_kernel[(row_tiles * column_tiles, batch)](
            query,
            key,
            log_sum_exp,
            result,
            *sizes,
            *result.stride(),
            **constants,
            ADD=total is not None,
        )
    return result


def tile_options(dtype: torch.dtype, dim: int) -> dict[str, int]:
    """Sizes of tiles, warps and pipeline stages for heads of a width."""
    width = max(16, 1 << (dim - 1).bit_length())  # products of tiles need a power of two
    rows, columns, warps = _FLOAT_TILE
    if dtype != torch.float32:
        rows, columns, warps = next(tile for most, tile in _HALF_TILES.items() if width <= most)
    blocks = {"QUERY_BLOCK": rows, "KEY_BLOCK": columns, "DIM_BLOCK": width}
    return {**blocks, "num_warps": warps, "num_stages": 2}
