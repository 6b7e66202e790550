"""MaskCut (Wang et al., CutLER, CVPR 2023): one normalised cut after another."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trace_mm.generators.patch_masks import (
    Grid,
    PatchMasks,
    check_features,
    connected_part,
    separation,
    two_sided,
)
from trace_mm.ops.normalized_cut import normalized_cut, similar_patches


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
        mask, margin = found
        if number and np.count_nonzero(mask) <= settings.smallest * mask.size:
            break  # the next round would find the same
        soft.append(two_sided(margin, mask))
        scores.append(separation(unit, mask))
        free &= ~mask
    return PatchMasks(np.array(soft, dtype=np.float32).reshape(-1, *grid), np.array(scores))


def cut_foreground(
    unit: Tensor, free: Grid, threshold: float, eps: float, corners: int | None
) -> tuple[Grid, np.ndarray]:
    """One cut: the foreground's main part, and how far each patch is from the threshold.

    Args:
        unit: features (h * w, C) of length 1.
        free: (h, w), the patches of the graph; at least 2.
        threshold: of the cosine similarity of joined patches.
        eps: affinity of the others.
        corners: a side with so many of the grid's corners is background; None for no such rule.

    Returns:
        Mask (h, w), and margin float64 (h, w): positive on the mask's side of the cut, 0 outside
        the graph.
    """
    cut = normalized_cut(similar_patches(unit[torch.from_numpy(free).flatten()], threshold), eps)
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
