"""MaskCut (Wang et al., CutLER, CVPR 2023): one normalised cut after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trace_mm.generators.patch_masks import (
    Grid,
    PatchMasks,
    check_features,
    connected_part,
    separation,
    two_sided,
)
from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trace_mm import ops
else:
    torch = lazy_module("torch")
    ops = lazy_module("trace_mm.ops")


@dataclass(frozen=True)
class MaskCutSettings:
    """Settings of MaskCut; the defaults are the paper's (Sec. 3.2 and 4).

    Attributes:
        threshold: tau, the cosine similarity above which two patches are joined.
        masks: N, how many masks an image has at most.
        eps: affinity of patches that are not joined.
        smallest: part of the grid that a mask after the first must exceed.
        corners: a side that holds so many of the grid's corners is background.
    """

    threshold: float = 0.15
    masks: int = 3
    eps: float = 1e-5
    smallest: float = 0.01
    corners: int = 3


def maskcut(features: Tensor, settings: MaskCutSettings | None = None) -> PatchMasks:
    """Masks of one image.

    Each round cuts the graph of the patches that no mask holds yet. The side with the entry of
    largest magnitude is foreground, unless it holds three corners; its part around that patch is
    the mask. In the paper, patches of earlier masks stay in the graph with affinity eps to all
    others. Here they leave it, which changes the cut by a term in eps only, and makes it smaller.
    Rounds end where all patches left are alike, and so no cut is better than another.

    Args:
        features: (h, w, C).
        settings: see :class:`MaskCutSettings`.

    Raises:
        ValueError: if the shape is wrong or a feature is not finite.
    """
    settings = settings or MaskCutSettings()
    unit, grid = check_features(features), (features.shape[0], features.shape[1])
    free = np.ones(grid, dtype=bool)
    soft, scores = [], []
    for number in range(settings.masks):
        if np.count_nonzero(free) < 2:
            break
        found = cut_foreground(unit, free, settings.threshold, settings.eps, settings.corners)
        if found is None:
            break
        mask, margin = found
        if number and np.count_nonzero(mask) <= settings.smallest * mask.size:
            break  # the next round would find the same
        soft.append(two_sided(margin, mask))
        scores.append(separation(unit, mask))
        free &= ~mask
    return PatchMasks(np.array(soft, dtype=np.float32).reshape(-1, *grid), np.array(scores))


def cut_foreground(
    unit: Tensor, free: Grid, threshold: float, eps: float, corners: int | None
) -> tuple[Grid, np.ndarray] | None:
    """One cut: the foreground's main part, and how far each patch is from the threshold.

    Args:
        unit: features (h * w, C) of length 1.
        free: (h, w), the patches of the graph; at least 2.
        threshold: of the cosine similarity of joined patches.
        eps: affinity of the others.
        corners: a side with so many of the grid's corners is background; None for no such rule.

    Returns:
        Mask (h, w), and margin float64 (h, w): positive on the mask's side of the cut, 0 outside
        the graph. None if the patches are all joined, or none to another: then all eigenvalues are
        equal, and rounding would choose the eigenvector.
    """
    joined = ops.similar_patches(unit[torch.from_numpy(free).flatten()], threshold)
    pairs = int(torch.count_nonzero(joined.triu(1)))
    if pairs in (0, len(joined) * (len(joined) - 1) // 2):
        return None
    cut = ops.normalized_cut(joined, eps)
    vector = cut.eigenvector.numpy()
    margin = np.zeros(free.shape)
    margin[free] = vector - vector.mean()
    peak = margin[free][np.argmax(np.abs(vector))]
    foreground = margin > 0
    held = np.count_nonzero(foreground[[0, 0, -1, -1], [0, -1, 0, -1]])
    if (corners is not None and held >= corners) or peak <= 0:
        margin = -margin
        foreground = margin > 0
    seed = np.unravel_index(np.argmax(np.where(free, margin, -np.inf)), free.shape)
    return connected_part(foreground, (int(seed[0]), int(seed[1]))), margin
