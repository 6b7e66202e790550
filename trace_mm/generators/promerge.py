"""ProMerge (Li and Shin, ECCV 2024): masks of many prompt patches, pruned and merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trace_mm.generators.patch_masks import (
    Grid,
    PatchMasks,
    check_features,
    separation,
)
from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy_module("torch")


@dataclass(frozen=True)
class ProMergeSettings:
    """Settings of ProMerge; the defaults are the authors'.

    Attributes:
        threshold: tau_b, the cosine similarity to the prompt above which a patch is in its mask.
        stride: patches between prompts.
        part: a part of a prompt's mask is kept if it has so much of the area of the prompt's own.
        smallest_background: an image whose background is a smaller part of the grid has no masks.
        most_background: a mask may add only patches of which less than this part is background.
        background_similarity: a mask may be similar to the background by less than this.
        merge_overlap: a mask merges with a larger one that holds more than this part of it.
        similar_overlap: the same where the two are similar.
        merge_similarity: what counts as similar: the product of the masks' mean unit features.
    """

    threshold: float = 0.2
    stride: int = 4
    part: float = 0.5
    smallest_background: float = 0.1
    most_background: float = 0.8
    background_similarity: float = 0.1
    merge_overlap: float = 0.5
    similar_overlap: float = 0.1
    merge_similarity: float = 0.1


def promerge(features: Tensor, settings: ProMergeSettings | None = None) -> PatchMasks:
    """Masks of one image.

    A prompt's mask is what is similar to it. Masks that fill half of two or more of the image's
    sides vote for the background; the others' connected parts are foreground (Sec. 3.2). Going from
    the smallest to the largest, parts that lie in the background or look like it are dropped; going
    from the largest to the smallest, what is left is merged (Sec. 3.3).

    Args:
        features: (h, w, C).
        settings: see :class:`ProMergeSettings`.

    Returns:
        Masks by falling area; none where nothing or nearly nothing is background.

    Raises:
        ValueError: if the shape is wrong, a feature is not finite, or the stride is not positive.
    """
    settings = settings or ProMergeSettings()
    if settings.stride < 1:
        raise ValueError(f"the stride must be at least 1, got {settings.stride}")
    unit, grid = check_features(features), (features.shape[0], features.shape[1])
    background, parts = prompt_masks(unit, grid, settings)
    if background.mean() < settings.smallest_background:
        return PatchMasks(np.zeros((0, *grid), dtype=np.float32), np.zeros(0))
    masks = merge(prune(parts, background, unit, settings), unit, settings)
    masks.sort(key=np.count_nonzero, reverse=True)
    soft = np.array(masks, dtype=np.float32).reshape(-1, *grid) * 2 - 1
    return PatchMasks(soft, np.array([separation(unit, mask) for mask in masks]))


def prompt_masks(
    unit: Tensor, grid: tuple[int, int], settings: ProMergeSettings
) -> tuple[Grid, list[Grid]]:
    """What most background masks agree on (h, w), and the parts (h, w) of the other masks."""
    rows, columns = (range(0, length, settings.stride) for length in grid)
    prompts = [(row, column) for row in rows for column in columns]
    places = torch.tensor([row * grid[1] + column for row, column in prompts])
    similar = (unit[places] @ unit.T > settings.threshold).numpy().reshape(-1, *grid)
    votes = [mask for mask in similar if _filled_sides(mask) > 1]
    background = np.mean(votes, axis=0) > 0.5 if votes else np.zeros(grid, dtype=bool)
    parts = [
        part
        for prompt, mask in zip(prompts, similar, strict=True)
        if mask[prompt] and _filled_sides(mask) <= 1
        for part in _large_parts(mask, prompt, settings.part)
    ]
    return background, _distinct(parts)


def prune(
    parts: list[Grid], background: Grid, unit: Tensor, settings: ProMergeSettings
) -> list[Grid]:
    """The parts that are not background, from small to large."""
    kept = []
    covered = np.zeros_like(background)
    empty = _mean_feature(unit, background)
    for part in sorted(parts, key=np.count_nonzero):
        new = part & ~covered
        if not new.any() or (new & background).sum() >= settings.most_background * new.sum():
            continue
        if float(_mean_feature(unit, part) @ empty) < settings.background_similarity:
            kept.append(part)
            covered |= part
    return kept


def merge(parts: list[Grid], unit: Tensor, settings: ProMergeSettings) -> list[Grid]:
    """Disjoint or slightly overlapping masks: each part joins all masks that it overlaps with."""
    masks: list[Grid] = []
    for part in sorted(parts, key=np.count_nonzero, reverse=True):
        joined, apart = part, []
        for mask in masks:
            overlap = (mask & part).sum() / part.sum()
            if overlap > settings.merge_overlap or (
                overlap > settings.similar_overlap
                and float(_mean_feature(unit, mask) @ _mean_feature(unit, part))
                >= settings.merge_similarity
            ):
                joined = joined | mask
            else:
                apart.append(mask)
        masks = [*apart, joined]
    return masks


def _filled_sides(mask: Grid) -> int:
    """Of how many of the image's sides a mask holds more than half of the patches."""
    return sum(int(side.mean() > 0.5) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def _large_parts(mask: Grid, prompt: tuple[int, int], share: float) -> list[Grid]:
    """Connected parts that have at least a share of the area of the prompt's own."""
    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())  # of the outside first
    wanted = np.flatnonzero(areas >= share * areas[labels[prompt]])
    return [labels == label for label in wanted if label]


def _distinct(parts: list[Grid]) -> list[Grid]:
    """Equal masks once: a second one would be dropped in pruning anyway."""
    return list({part.tobytes(): part for part in parts}.values())


def _mean_feature(unit: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """The mean (C,) of unit features (h * w, C) over a mask (h, w)."""
    inside = torch.from_numpy(mask).flatten().to(unit)
    return inside @ unit / inside.sum()
