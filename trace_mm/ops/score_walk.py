"""Scores of classes that spread by a random walk until edges stop them (Eq. 11)."""

import torch
from torch import Tensor

from trace_mm.ops.propagation import propagate_masks

_UNREACHED = 0.01  # below it the walk, which is known to 1e-4, says nothing of means


def walk_scores(
    scores: Tensor, edges: Tensor, radius: int = 5, beta: float = 10, steps: int = 256
) -> tuple[Tensor, Tensor]:
    """Let scores spread inside the edges around them: T^steps (S * (1 - E)) / T^steps (1 - E).

    This is Eq. 11 of each class, divided by what Eq. 11 makes of a score of 1 everywhere. At a
    pixel all classes are divided by the same number, so that the order of the classes is that of
    Eq. 11. The quotient is a weighted mean of the scores around: it lies between the smallest and
    the largest score, keeps scores that are the same everywhere, and needs none to be positive. So
    thresholds mean what they meant before.

    Args:
        scores: (C, H, W), any finite numbers.
        edges: (H, W) in [0, 1].
        radius: a step of the walk goes less than this many pixels far.
        beta: exponent of the affinities.
        steps: length of the walk, at least 0.

    Returns:
        The means, float32 (C, H, W), and how much of each pixel's walk comes off the edges, (H, W)
        in [0, 1]. Where that is less than 0.01, as inside thick edges, scores stay as they are.

    Raises:
        ValueError: if shapes, values or numbers do not fit.

    Examples:
        >>> import torch
        >>> means, _ = walk_scores(torch.full((2, 6, 6), 0.25), torch.zeros(6, 6))
        >>> bool(torch.allclose(means, torch.tensor(0.25)))
        True
    """
    if scores.ndim != 3 or not len(scores) or not scores.is_floating_point():
        raise ValueError(
            f"scores must be float maps (C, H, W), got {scores.dtype} {tuple(scores.shape)}"
        )
    if not torch.isfinite(scores).all():
        raise ValueError("scores must be finite")
    low, high = scores.amin(), scores.amax()
    scale = high - low if high > low else scores.new_ones(())
    shares = ((scores - low) / scale).float()  # in [0, 1], which the walk is linear in
    weights = shares.new_ones(1, *shares.shape[1:])
    walked = propagate_masks(torch.cat([shares, weights]), edges, radius, beta, steps)
    reached = walked[-1]  # (H, W)
    means = walked[:-1] / reached.clamp(min=_UNREACHED)
    means = torch.where(reached >= _UNREACHED, means, shares).clamp(0, 1)
    return means * scale.float() + low.float(), reached
