"""What the three methods have in common: masks on a grid of patches, their parts and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")

Grid = NDArray[np.bool_]


@dataclass(frozen=True)
class PatchMasks:
    """Masks of one image on its grid of patches, in the order in which they were found.

    Attributes:
        soft: float32 (K, h, w) in [-1, 1], above 0 inside; what is enlarged to the image's size.
        scores: float64 (K,) in [0, 1], see :func:`separation`.
    """

    soft: NDArray[np.float32]
    scores: NDArray[np.float64]

    def at_size(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Masks bool (K, H, W): the soft masks enlarged bilinearly, where they are above 0."""
        if not len(self.soft):
            return np.zeros((0, *size), dtype=bool)
        soft = torch.from_numpy(self.soft)[None]  # (1, K, h, w)
        large = functional.interpolate(soft, size, mode="bilinear", align_corners=False)
        return (large[0] > 0).numpy()


def check_features(features: Tensor) -> Tensor:
    """Unit features float32 (h * w, C) of a grid (h, w, C); zero ones stay zero.

    Raises:
        ValueError: if the shape is wrong or a feature is not finite.
    """
    if features.ndim != 3 or min(features.shape) < 1 or features.shape[:2].numel() < 2:
        raise ValueError(f"features must be (h, w, C), got {tuple(features.shape)}")
    unit = functional.normalize(features.detach().float(), dim=2).flatten(0, 1)
    if not unit.isfinite().all():
        raise ValueError("features must be finite")
    return unit


def connected_part(mask: Grid, seed: tuple[int, int]) -> Grid:
    """The part of a mask (h, w) that is 4-connected to a patch; empty if that is outside."""
    parts, _ = ndimage.label(mask)
    return mask & (parts == parts[seed])


def two_sided(margin: NDArray[np.float64], mask: Grid) -> NDArray[np.float32]:
    """A soft mask (h, w) in [-1, 1] from distances to a threshold; other parts become outside.

    The entries of an eigenvector are often large on the small side of a cut and small on the other.
    Each side is divided by its mean, so that the border falls halfway between the two.
    """
    soft = np.where(mask, np.abs(margin), -np.abs(margin))
    for side in (mask, ~mask):
        mean = np.abs(soft[side]).mean() if side.any() else 0.0
        if mean > 0:
            soft[side] /= mean
    return soft.clip(-1, 1).astype(np.float32)


def separation(unit: Tensor, mask: Grid) -> float:
    """How clearly a mask stands out from what is around it, in [0, 1]; the masks' score.

    Each patch is compared with the mean feature of the mask by cosine similarity. The score is half
    of the mean similarity inside minus that in a ring around the mask, whose width is an eighth of
    the grid's shorter side, times the part of the grid's border that the mask leaves free: what
    runs along the border is more often background. The papers give no scores.

    Args:
        unit: features (h * w, C) of length 1.
        mask: (h, w).
    """
    width = max(1, min(mask.shape) // 8)
    around = ndimage.binary_dilation(mask, iterations=width) & ~mask
    if not mask.any() or not around.any():
        return 0.0
    inside, outside = torch.from_numpy(mask).flatten(), torch.from_numpy(around).flatten()
    similarity = unit @ functional.normalize(unit[inside].mean(0), dim=0)  # (h * w,)
    difference = float(similarity[inside].mean() - similarity[outside].mean())
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    free = 1.0 - float(np.mean([side.mean() for side in sides]))
    return min(1.0, max(0.0, difference / 2)) * free
