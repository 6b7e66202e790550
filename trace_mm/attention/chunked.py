"""The self-attention map some rows at a time: on any device, and with gradients."""

from itertools import product

import torch
from torch import Tensor

DEFAULT_WORKSPACE = {"cpu": 1 << 20}
"""Entries (heads x rows x keys) of the logits that exist at a time: what a processor caches."""
LARGE_WORKSPACE = 1 << 25
"""The same for other devices, which want much work at a time: 128 MiB of float32."""


def chunked_attention_map(
    query: Tensor,
    key: Tensor,
    scale: float,
    workspace: int | None = None,
    total: Tensor | None = None,
) -> Tensor:
    """Mean over heads of softmax(Q K^T * scale), in float32 (Eq. 6 and 7).

    Args:
        query: (B, heads, n, dim).
        key: (B, heads, n, dim).
        scale: factor on the logits.
        workspace: how many logits may exist at a time, but at least one row per head of an image;
            chosen by device if None.
        total: (B, n, n) float32, to which the map is added in place; not where gradients are
            recorded.

    Returns:
        (B, n, n), rows sum to 1; or the total.
    """
    batch, heads, tokens, _ = query.shape
    if workspace is None:
        workspace = DEFAULT_WORKSPACE.get(query.device.type, LARGE_WORKSPACE)
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad):
        keys = _scaled_keys(key, scale)
        rows = max(1, workspace // (batch * heads * tokens))
        # Writing pieces into one tensor would copy the whole gradient once a piece.
        pieces = [_mean_softmax(piece, keys) for piece in query.split(rows, dim=2)]
        return torch.cat(pieces, dim=1)
    return _add_in_chunks(query, _scaled_keys(key, scale), workspace, total)


def attend_and_map(
    query: Tensor, key: Tensor, value: Tensor, scale: float, total: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What a layer computes, softmax(Q K^T * scale) V, and its map, of one and the same softmax.

    Without gradients. The first is that of ``scaled_dot_product_attention`` up to rounding.

    Args:
        query: (B, heads, n, dim).
        key: (B, heads, n, dim).
        value: (B, heads, n, dim).
        scale: factor on the logits.
        total: see :func:`chunked_attention_map`.

    Returns:
        (B, heads, n, dim) in the dtype of the values, and the map (B, n, n) or the total.
    """
    values = value.contiguous().float()
    attended = torch.empty_like(values)
    workspace = DEFAULT_WORKSPACE.get(query.device.type, LARGE_WORKSPACE)
    keys = _scaled_keys(key, scale)
    attention = _add_in_chunks(query, keys, workspace, total, (values, attended))
    return attended.to(value.dtype), attention


def _scaled_keys(key: Tensor, scale: float) -> Tensor:
    """(B, heads, dim, n) float32. In memory head after head, or each product would copy them."""
    return (key.contiguous().float() * scale).mT


def _add_in_chunks(
    query: Tensor,
    keys: Tensor,
    workspace: int,
    total: Tensor | None,
    values: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The map, or the total; ``values`` are those of the layer and what it makes of them."""
    batch, heads, tokens, _ = query.shape
    # Images one by one, unless the logits of several fit: few rows of many are slow to multiply.
    images = min(batch, max(1, workspace // (heads * tokens**2)))
    rows = min(tokens, max(1, workspace // (images * heads * tokens)))
    attention = keys.new_empty(batch, tokens, tokens) if total is None else total
    # One block of memory for all pieces: a new one each time would cost more than the softmax.
    logits = keys.new_empty(images, heads, rows, tokens)
    with torch.autocast(query.device.type, enabled=False):
        for first, start in product(range(0, batch, images), range(0, tokens, rows)):
            chosen = slice(first, first + images)
            piece = query[chosen, :, start : start + rows].float()  # (images, heads, rows, dim)
            block = logits[: piece.shape[0], :, : piece.shape[2]]
            torch.matmul(piece, keys[chosen], out=block)
            torch.softmax(block, -1, out=block)
            if values is not None:
                attended = block @ values[0][chosen]  # (images, heads, rows, dim)
                values[1][chosen, :, start : start + rows] = attended
            part = attention[chosen, start : start + rows]  # (images, rows, n)
            summed, *others = block.unbind(1)  # (images, rows, n) each
            for other in others:
                summed += other  # still cached; a sum over the dimension would write zeros first
            if total is None:
                torch.div(summed, heads, out=part)
            else:
                part.add_(summed, alpha=1 / heads)
    return attention


def _mean_softmax(query: Tensor, keys: Tensor) -> Tensor:
    """Rows (B, rows, n) of the map: query (B, heads, rows, dim), scaled keys (B, heads, dim, n)."""
    # Autocast would silently compute the logits in half precision.
    with torch.autocast(query.device.type, enabled=False):
        logits = query.float() @ keys  # (B, heads, rows, n)
        return logits.softmax(-1).mean(1)
