"""Triton kernels of the fused self-attention map; imported only where it is computed.

Logits are in base 2, for which GPUs have an instruction: the scale that the kernels are given
includes log2(e), and exp2 stands for exp. Offsets are 64-bit: maps of a batch of long sequences
have more than 2^31 entries. What loops count up to is known when a kernel is compiled: with
numpy 2.4, Triton's interpreter reads no other numbers there.
"""

import triton
import triton.language as tl


@triton.jit
def load_tile(
    start: tl.tensor,
    rows: tl.tensor,
    row_stride: tl.tensor,
    dim_stride: tl.tensor,
    tokens: tl.tensor,
    dim: tl.tensor,
    DIM_BLOCK: tl.constexpr,
) -> tl.tensor:
    """Rows (rows, DIM_BLOCK) of a matrix (tokens, dim); zeros outside of it."""
    columns = tl.arange(0, DIM_BLOCK)
    offsets = rows.to(tl.int64)[:, None] * row_stride + columns[None, :] * dim_stride
    inside = (rows[:, None] < tokens) & (columns[None, :] < dim)
    return tl.load(start + offsets, mask=inside, other=0.0)


@triton.jit
def log_sum_exp_kernel(
    query: tl.tensor,
    key: tl.tensor,
    result: tl.tensor,  # (B, heads, n), contiguous
    scale: tl.tensor,
    tokens: tl.tensor,
    dim: tl.tensor,
    query_batch: tl.tensor,  # strides, from here on
    query_head: tl.tensor,
    query_row: tl.tensor,
    query_dim: tl.tensor,
    key_batch: tl.tensor,
    key_head: tl.tensor,
    key_row: tl.tensor,
    key_dim: tl.tensor,
    QUERY_BLOCK: tl.constexpr,
    KEY_BLOCK: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    HEADS: tl.constexpr,
    KEY_TILES: tl.constexpr,
) -> None:
    """Log-sum-exp of each row of logits. A program does one tile of queries of one head."""
    row_tiles = tl.cdiv(tokens, QUERY_BLOCK)
    batch = tl.program_id(1).to(tl.int64)
    head = (tl.program_id(0) // row_tiles).to(tl.int64)
    rows = tl.program_id(0) % row_tiles * QUERY_BLOCK + tl.arange(0, QUERY_BLOCK)
    query += batch * query_batch + head * query_head
    key += batch * key_batch + head * key_head
    queries = load_tile(query, rows, query_row, query_dim, tokens, dim, DIM_BLOCK)

    highest = tl.full((QUERY_BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((QUERY_BLOCK,), tl.float32)  # sum of 2 ** (logit - highest) so far
    for tile in range(KEY_TILES):
        columns = tile * KEY_BLOCK + tl.arange(0, KEY_BLOCK)
        keys = load_tile(key, columns, key_row, key_dim, tokens, dim, DIM_BLOCK)
        logits = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        logits = tl.where(columns[None, :] < tokens, logits, float("-inf"))
        higher = tl.maximum(highest, tl.max(logits, 1))
        total = total * tl.exp2(highest - higher) + tl.sum(tl.exp2(logits - higher[:, None]), 1)
        highest = higher
    place = (batch * HEADS + head) * tokens + rows
    tl.store(result + place, highest + tl.log2(total), mask=rows < tokens)


@triton.jit
def mean_map_kernel(
    query: tl.tensor,
    key: tl.tensor,
    log_sum_exp: tl.tensor,  # (B, heads, n), contiguous
    result: tl.tensor,  # (B, n, n)
    scale: tl.tensor,
    tokens: tl.tensor,
    dim: tl.tensor,
    query_batch: tl.tensor,  # strides, from here on
    query_head: tl.tensor,
    query_row: tl.tensor,
    query_dim: tl.tensor,
    key_batch: tl.tensor,
    key_head: tl.tensor,
    key_row: tl.tensor,
    key_dim: tl.tensor,
    result_batch: tl.tensor,
    result_row: tl.tensor,
    result_column: tl.tensor,
    QUERY_BLOCK: tl.constexpr,
    KEY_BLOCK: tl.constexpr,
    DIM_BLOCK: tl.constexpr,
    HEADS: tl.constexpr,
    KEY_TILES: tl.constexpr,
    ADD: tl.constexpr,  # to what the result holds
) -> None:
    """Mean over heads of the softmax. A program does one tile of the map, over all heads."""
    batch = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) // KEY_TILES * QUERY_BLOCK + tl.arange(0, QUERY_BLOCK)
    columns = tl.program_id(0) % KEY_TILES * KEY_BLOCK + tl.arange(0, KEY_BLOCK)
    query += batch * query_batch
    key += batch * key_batch
    log_sum_exp += batch * HEADS * tokens + rows

    tile = tl.zeros((QUERY_BLOCK, KEY_BLOCK), tl.float32)
    for _ in range(HEADS):
        queries = load_tile(query, rows, query_row, query_dim, tokens, dim, DIM_BLOCK)
        keys = load_tile(key, columns, key_row, key_dim, tokens, dim, DIM_BLOCK)
        sums = tl.load(log_sum_exp, mask=rows < tokens, other=0.0)
        logits = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        tile += tl.exp2(logits - sums[:, None])
        query += query_head
        key += key_head
        log_sum_exp += tokens

    tile /= HEADS
    columns = columns.to(tl.int64)
    result += batch * result_batch + rows.to(tl.int64)[:, None] * result_row
    result += columns[None, :] * result_column
    inside = (rows[:, None] < tokens) & (columns[None, :] < tokens)
    if ADD:
        tile += tl.load(result, mask=inside, other=0.0)
    tl.store(result, tile, mask=inside)
