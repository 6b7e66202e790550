"""Random walk over attention: what a token reaches in several steps. Ours, not the paper's.

The two colours of a striped object attend to themselves first, so that Eq. 2 sees an edge along
every stripe. But they attend a little to each other too, and hardly to what lies outside. Along
several steps the walk mixes within an object long before it leaves it, and stripes fade.
"""

import torch
from torch import Tensor

from trace_mm.ops.divergence import as_floating


def walk_attention(attention: Tensor, steps: int) -> Tensor:
    """Where a random walk that follows the attention is after some steps: the map's power A^steps.

    Differentiable. Costs about 2 log2(steps) products of (N, N) matrices at most.

    Args:
        attention: (B, N, N), rows sum to 1.
        steps: at least 1; 1 gives the attention itself.

    Returns:
        (B, N, N), rows sum to 1, in the precision of ``attention`` but at least float32.

    Raises:
        ValueError: if the shape or the number of steps does not fit.
    """
    shape = tuple(attention.shape)
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(f"attention must be (B, N, N), got {shape}")
    if steps < 1:
        raise ValueError(f"a walk has at least 1 step, got {steps}")
    attention = as_floating(attention)
    return attention if steps == 1 else torch.linalg.matrix_power(attention, steps)
