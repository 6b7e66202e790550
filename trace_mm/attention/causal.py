"""The attention map of a layer of a language model, whose tokens see only earlier ones."""

import torch
from torch import Tensor

from trace_mm.attention.chunked import DEFAULT_WORKSPACE, LARGE_WORKSPACE


@torch.no_grad()
def causal_attention_map(
    query: Tensor,
    key: Tensor,
    scale: float | None = None,
    workspace: int | None = None,
    total: Tensor | None = None,
) -> Tensor:
    """Mean over heads of softmax(Q K^T * scale) over the keys up to a token's own, in float32.

    Args:
        query: (B, heads, n, dim).
        key: (B, key heads, n, dim); each is that of heads / key heads consecutive queries.
        scale: factor on the logits; None means dim ** -0.5.
        workspace: how many logits may exist at a time, but at least one row per head; chosen by
            device if None.
        total: (B, n, n) float32, to which the map is added in place.

    Returns:
        (B, n, n), 0 above the diagonal, rows sum to 1; or the total.

    Raises:
        ValueError: if the shapes do not fit.
    """
    batch, heads, tokens, width = query.shape
    if heads % key.shape[1] or (batch, tokens, width) != (key.shape[0], *key.shape[2:]):
        raise ValueError(
            "query and key must be (B, heads, n, dim) and (B, key heads, n, dim), "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    scale = width**-0.5 if scale is None else scale
    if workspace is None:
        workspace = DEFAULT_WORKSPACE.get(query.device.type, LARGE_WORKSPACE)
    keys = key.float().repeat_interleave(heads // key.shape[1], dim=1).mT * scale  # (B, H, dim, n)
    if total is None:
        total = keys.new_zeros(batch, tokens, tokens)
    rows = max(1, workspace // (batch * heads * tokens))
    places = torch.arange(tokens, device=query.device)
    with torch.autocast(query.device.type, enabled=False):
        for start in range(0, tokens, rows):
            piece = query[:, :, start : start + rows].float()  # (B, heads, rows, dim)
            later = places > places[start : start + rows, None]  # (rows, n)
            logits = (piece @ keys).masked_fill_(later, -torch.inf)
            total[:, start : start + rows] += logits.softmax(-1).mean(1)
    return total
