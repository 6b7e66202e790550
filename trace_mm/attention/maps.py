"""The self-attention map of a layer from its query and key, without a (heads, n, n) tensor."""

import torch
from torch import Tensor

from trace_mm.attention.chunked import chunked_attention_map
from trace_mm.attention.fused import fused_attention_map
from trace_mm.attention.self_check import fused_is_trusted

ROUTES = ("auto", "chunked", "fused")


def self_attention_map(
    query: Tensor,
    key: Tensor,
    scale: float | None = None,
    workspace: int | None = None,
    total: Tensor | None = None,
    route: str = "auto",
) -> Tensor:
    """Mean over heads of softmax(Q K^T * scale), in float32 (Eq. 6 and 7).

    Args:
        query: (B, heads, n, dim).
        key: (B, heads, n, dim).
        scale: factor on the logits; None means dim ** -0.5.
        workspace: of the chunked route: how many logits may exist at a time, but at least one row
            per head of an image; chosen by device if None.
        total: (B, n, n) float32, to which the map is added in place, so that a sum over layers
            needs the memory of one map only. Not where gradients are recorded.
        route: ``"chunked"`` takes some rows of the logits at a time, on any device and with
            gradients; ``"fused"`` is one kernel for GPUs (:mod:`trace_mm.attention.fused`);
            ``"auto"`` is fused where a GPU can run it, its results were found right at first use
            (:mod:`trace_mm.attention.self_check`), and no gradient is recorded.

    Returns:
        (B, n, n), rows sum to 1; or the total.

    Raises:
        ValueError: if query and key are not of one shape (B, heads, n, dim), the route is unknown
            or not possible, or there is a total where gradients are recorded.
    """
    if route not in ROUTES:
        raise ValueError(f"route must be one of {', '.join(ROUTES)}, got {route!r}")
    if query.ndim != 4 or query.shape != key.shape:
        raise ValueError(
            f"query and key must both be (B, heads, n, dim), "
            f"got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    records = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if route == "fused" and records:
        raise ValueError("the fused route has no gradients")
    if route == "auto" and query.is_cuda and query.dtype == key.dtype and not records:
        route = "fused" if fused_is_trusted(query) else "chunked"
    if route == "fused":
        return fused_attention_map(query, key, scale, total)
    return chunked_attention_map(query, key, scale, workspace, total)
