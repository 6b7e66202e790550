"""The Dice loss that leaves uncertain pixels out (paper App. C.5, Eq. 10)."""

import torch
from torch import Tensor

from trace_mm.ops.divergence import as_floating

UNCERTAIN = -1
"""The label of a pixel that no loss looks at, as ``pseudo_edges`` writes it."""


def masked_dice_loss(prediction: Tensor, target: Tensor, smoothing: float = 1e-6) -> Tensor:
    """One minus the Dice overlap of predicted and pseudo-edges over the certain pixels (Eq. 10).

    1 - (2 sum E P + s) / (sum E^2 + sum P^2 + s), the sums over pixels where E is not -1. Eq. 10
    is the case s = 0. What follows:

    - Without a certain pixel the loss is 0, and so is its gradient. Eq. 10 is not defined there,
      nor for a perfect prediction of no edge, which costs nothing either.
    - Without an edge among the certain pixels it is sum P^2 / (sum P^2 + s): 0 for no predicted
      edge, and about 1 for anything above. A larger ``smoothing``, say 1, gives such images a
      gradient that is worth something.

    Args:
        prediction: (B, 1, H, W) edge strength P in [0, 1].
        target: (B, 1, H, W) labels E, integer or floating: 1 edge, 0 interior, -1 uncertain.
            Values between 0 and 1 are soft labels; a prediction that equals them has loss 0 too.
        smoothing: s, in pixels, at least 0.

    Returns:
        (B,) losses in [0, 1], in the precision of ``prediction`` but at least float32.

    Raises:
        ValueError: if the shapes do not fit, the prediction is not floating point or
            ``smoothing`` is negative.

    Examples:
        >>> import torch
        >>> labels = torch.tensor([[[[1.0, 0.0, -1.0]]]])  # edge, interior, uncertain
        >>> float(masked_dice_loss(torch.tensor([[[[1.0, 0.0, 0.7]]]]), labels))
        0.0
    """
    if prediction.ndim != 4 or prediction.shape[1] != 1 or prediction.shape != target.shape:
        raise ValueError(
            "prediction and target must both be (B, 1, H, W), "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    if not smoothing >= 0:
        raise ValueError(f"smoothing must be at least 0, got {smoothing}")
    uncertain = target == UNCERTAIN
    # Not a product with the weight: a prediction that is not finite there must not matter either.
    predicted = as_floating(prediction, "prediction").masked_fill(uncertain, 0).flatten(1)  # (B, P)
    labels = target.to(predicted.dtype).masked_fill(uncertain, 0).flatten(1)  # (B, P)
    overlap = 2 * (labels * predicted).sum(1) + smoothing  # (B,)
    total = labels.square().sum(1) + predicted.square().sum(1) + smoothing
    share = torch.where(total > 0, overlap / total.where(total > 0, 1), 1 - 0 * total)
    # Rounding could push a perfect overlap just above one.
    return (1 - share).clamp(min=0)
