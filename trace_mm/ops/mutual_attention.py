"""Attention in which tokens see only earlier ones, made such that each row has all tokens."""

import torch
from torch import Tensor

from trace_mm.ops.divergence import EPSILON, as_floating


def mutual_attention(causal: Tensor) -> Tensor:
    """How much tokens have to do with each other, from the attention of the later to the earlier.

    In a causal map, rows of neighbours differ already in which tokens they see: those of a row
    further down see a whole row of the image more. Eq. 2 would take that for a border everywhere,
    most of all at the top. So each pair of tokens is given the one number that there is of it, the
    attention of the later to the earlier one, in the rows of both. Before that it is multiplied by
    how many tokens the later one sees, among which it must share out its attention: so attention
    that tells nothing, an equal share for each, becomes equal in all rows, and has no borders.

    Args:
        causal: (B, N, N), 0 above the diagonal, rows sum to 1.

    Returns:
        (B, N, N), no less than 0, rows sum to 1; in the precision given but at least float32.

    Raises:
        ValueError: if the map is not (B, N, N).
    """
    if causal.ndim != 3 or causal.shape[1] != causal.shape[2]:
        raise ValueError(f"attention must be (B, N, N), got {tuple(causal.shape)}")
    seen = torch.arange(1, causal.shape[1] + 1, device=causal.device)[:, None]
    earlier = as_floating(causal).tril() * seen  # (B, N, N)
    both = earlier + earlier.tril(-1).mT
    return both / both.sum(-1, keepdim=True).clamp(min=EPSILON)
