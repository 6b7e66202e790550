"""Labels for training made from boundary strength (paper Alg. 2, Table 10)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.ops.boundary import check_maps, upsample_edges
from trace_mm.ops.thinning import suppress_non_maxima

PSEUDO_LABELS = ("mu_sigma", "mu_sigma_median", "mu", "ridge")
"""Schemes of :func:`pseudo_edges`."""

_LEAST_INTERIOR = 0.05

EDGE, INTERIOR, UNCERTAIN = 1, 0, -1


def pseudo_edges(
    boundary: Tensor, scheme: str = "mu_sigma", size: Sequence[int] | None = None
) -> Tensor:
    """Ternary labels from boundary strength, by each image's own statistics (Alg. 2, Table 10).

    With mu and sigma the image's mean and population standard deviation, of the map as it is given:

    - ``"mu_sigma"``, the paper's: above mu + sigma is edge, below mu - sigma is interior, the rest
      (limits included, so all of a flat map) is uncertain.
    - ``"mu_sigma_median"``, the same, but for images of which it calls less than a twentieth
      interior, as where strength is skewed (mu - sigma is below 0 where sigma > mu): there all
      below the median is interior.
    - ``"mu"``, the paper's comparison: from mu on is edge, the rest interior.
    - ``"ridge"``, ours: edges are thin. Only the maxima across a boundary count, and the pixels
      that touch them: edge where the maximum is above mu + sigma, else uncertain where it is above
      mu. All else is interior, also the flanks of a strong boundary.

    Args:
        boundary: (B, 1, h, w), as :func:`attention_boundary_divergence` returns it: on the token
            grid, of which the paper takes the statistics. Their scale does not matter.
        scheme: one of these.
        size: (H, W) to which the map is enlarged after mu and sigma are taken, so that labels are
            as fine as an image; None for labels on the grid of the map.

    Returns:
        int8 (B, 1, h, w) or (B, 1, H, W): 1 edge, 0 interior, -1 uncertain.

    Raises:
        ValueError: if the scheme is unknown, the shape is wrong or a value is nan or infinite.

    Examples:
        >>> import torch
        >>> pseudo_edges(torch.tensor([[[[0.0, 0.5, 0.5, 0.5, 1.0]]]])).flatten().tolist()
        [0, -1, -1, -1, 1]
    """
    if scheme not in PSEUDO_LABELS:
        raise ValueError(f"scheme must be one of {', '.join(PSEUDO_LABELS)}, got {scheme!r}")
    # float64, since the mean of a flat map must be exactly its value; not every device has it.
    tokens = check_maps(boundary, "boundary").cpu().double()
    mean = tokens.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    deviation = (tokens - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    median = tokens.flatten(1).median(dim=1).values.view_as(mean)
    strength = tokens
    if size is not None and tuple(size) != tuple(tokens.shape[2:]):
        strength = upsample_edges(tokens, (size[0], size[1]), "bicubic")
    strong = strength > mean + deviation
    if scheme == "mu":
        labels = (strength >= mean).to(torch.int8)
    elif scheme == "ridge":
        ridge = _maxima(strength)
        labels = torch.full(strength.shape, INTERIOR, dtype=torch.int8)
        labels[_widen(ridge & (strength > mean))] = UNCERTAIN
        labels[_widen(ridge & strong)] = EDGE
    else:
        weak = mean - deviation
        if scheme == "mu_sigma_median":
            share = (tokens < weak).double().mean(dim=(1, 2, 3), keepdim=True)
            weak = torch.where(share < _LEAST_INTERIOR, median, weak)
        labels = torch.full(strength.shape, UNCERTAIN, dtype=torch.int8)
        labels[strength < weak] = INTERIOR
        labels[strong] = EDGE
    return labels.to(boundary.device)


def _maxima(strength: Tensor) -> Tensor:
    """Where boundary strength (B, 1, h, w) is largest across the boundary; bool."""
    kept = [
        suppress_non_maxima(image[0], border=0) > 0
        for image in strength.clamp(min=0)  # rounding may leave values just below 0
    ]
    return torch.stack(kept)[:, None]


def _widen(mask: Tensor) -> Tensor:
    """A mask (B, 1, h, w) and all pixels that touch it."""
    return functional.max_pool2d(mask.float(), kernel_size=3, stride=1, padding=1) > 0
