"""The self-attention map of a layer from its query and key, without a (heads, n, n) tensor."""

import torch
from torch import Tensor

DEFAULT_WORKSPACE = {"cpu": 1 << 19}
"""Entries (heads x rows x keys) of the logits that exist at a time: what a processor caches."""
LARGE_WORKSPACE = 1 << 25
"""The same for other devices, which want much work at a time: 128 MiB of float32."""


def self_attention_map(
    query: Tensor,
    key: Tensor,
    scale: float | None = None,
    workspace: int | None = None,
    total: Tensor | None = None,
) -> Tensor:
    """Mean over heads of softmax(Q K^T * scale), in float32 (Eq. 6 and 7).

    Args:
        query: (B, heads, n, dim).
        key: (B, heads, n, dim).
        scale: factor on the logits; None means dim ** -0.5.
        workspace: how many logits may exist at a time, but at least one row per head; chosen by
            device if None.
        total: (B, n, n) float32, to which the map is added in place, so that a sum over layers
            needs the memory of one map only. Not where gradients are recorded.

    Returns:
        (B, n, n), rows sum to 1; or the total.

    Raises:
        ValueError: if query and key are not of one shape (B, heads, n, dim), or there is a total
            where gradients are recorded.
    """
    if query.ndim != 4 or query.shape != key.shape:
        raise ValueError(
            f"query and key must both be (B, heads, n, dim), "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    batch, heads, tokens, width = query.shape
    scale = width**-0.5 if scale is None else scale
    if workspace is None:
        workspace = DEFAULT_WORKSPACE.get(query.device.type, LARGE_WORKSPACE)
    rows = max(1, workspace // (batch * heads * tokens))
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        if total is not None:
            raise ValueError("a map with gradients cannot be added to a total in place")
        keys = key.float().mT * scale  # (B, heads, dim, n)
        # Writing pieces into one tensor would copy the whole gradient once a piece.
        pieces = [_mean_softmax(piece, keys) for piece in query.split(rows, dim=2)]
        return torch.cat(pieces, dim=1)
    return _add_in_chunks(query, key, scale, rows, total)


def _add_in_chunks(
    query: Tensor, key: Tensor, scale: float, rows: int, total: Tensor | None
) -> Tensor:
    batch, heads, tokens, _ = query.shape
    keys = key.float().mT * scale  # (B, heads, dim, n)
    attention = keys.new_empty(batch, tokens, tokens) if total is None else total
    # One block of memory for all pieces: a new one each time would cost more than the softmax.
    logits = keys.new_empty(batch, heads, rows, tokens)
    with torch.autocast(query.device.type, enabled=False):
        for start in range(0, tokens, rows):
            piece = query[:, :, start : start + rows].float()  # (B, heads, rows, dim)
            block = logits[:, :, : piece.shape[2]]
            torch.matmul(piece, keys, out=block)
            torch.softmax(block, -1, out=block)
            part = attention[:, start : start + rows]  # (B, rows, n)
            if total is None:
                torch.mean(block, 1, out=part)
            else:
                part += block.mean(1)
    return attention


def _mean_softmax(query: Tensor, keys: Tensor) -> Tensor:
    """Rows (B, rows, n) of the map: query (B, heads, rows, dim), scaled keys (B, heads, dim, n)."""
    # Autocast would silently compute the logits in half precision.
    with torch.autocast(query.device.type, enabled=False):
        logits = query.float() @ keys  # (B, heads, rows, n)
        return logits.softmax(-1).mean(1)
