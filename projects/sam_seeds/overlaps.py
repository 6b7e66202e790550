"""Masks that overlap, brought to one class and one object a pixel."""

import numpy as np
from numpy.typing import NDArray

from trace_mm.panoptic import PanopticLabels


def settle(
    masks: NDArray[np.bool_],
    classes: NDArray[np.int64],
    scores: NDArray[np.float64],
    num_things: int,
    ground: NDArray[np.int32],
    least_share: float = 0.5,
    min_area: int = 1,
) -> PanopticLabels:
    """A panoptic map of masks that may overlap (Kirillov et al., Panoptic Segmentation, CVPR 2019).

    The mask of the highest score takes its pixels first, and each further one what is free then.
    One that keeps less than a share of its pixels is left out: it is a duplicate, or lies within
    another. Things come before stuff; the masks of one class of stuff are one segment. What no mask
    takes is what the ground says, of stuff; the rest is void.

    Args:
        masks: (K, H, W).
        classes: (K,), class numbers; those below ``num_things`` are things.
        scores: (K,). Of equal ones the first mask goes first.
        num_things: see ``classes``.
        ground: (H, W), class numbers under all masks, -1 void; things in it count as void.
        least_share: of a mask's pixels, in [0, 1].
        min_area: a mask that keeps fewer pixels is left out.

    Returns:
        Segments by rising class, those of a class by falling score.
    """
    owner = np.full(ground.shape, -1, dtype=np.int64)  # index of the mask that has a pixel
    is_stuff = classes >= num_things
    for index in np.lexsort((-scores, is_stuff)):
        left = masks[index] & (owner < 0)
        area = np.count_nonzero(left)
        if area >= max(min_area, 1, least_share * np.count_nonzero(masks[index])):
            owner[left] = index
    return _numbered(owner, classes, scores, num_things, ground)


def _numbered(
    owner: NDArray[np.int64],
    classes: NDArray[np.int64],
    scores: NDArray[np.float64],
    num_things: int,
    ground: NDArray[np.int32],
) -> PanopticLabels:
    """Segments of the masks that have pixels, and of the ground where none has."""
    present = np.unique(owner[owner >= 0])
    things = present[classes[present] < num_things]
    things = things[np.lexsort((-scores[things], classes[things]))]
    ids = np.zeros(ground.shape, dtype=np.int32)
    for number, index in enumerate(things, start=1):
        ids[owner == index] = number
    stuff = np.where(owner < 0, ground, -1)  # (H, W), class numbers
    for index in present[classes[present] >= num_things]:
        stuff[owner == index] = classes[index]
    kinds = np.unique(stuff[stuff >= num_things])
    for number, kind in enumerate(kinds, start=len(things) + 1):
        ids[stuff == kind] = number
    return PanopticLabels(ids, np.concatenate([classes[things], kinds]).astype(np.int64))


def distinct(masks: NDArray[np.bool_], scores: NDArray[np.float64], max_iou: float) -> list[int]:
    """Masks by falling score, without those whose IoU with a better one exceeds a limit.

    Args:
        masks: (K, H, W); empty ones are left out.
        scores: (K,). Of equal ones the first mask goes first.
        max_iou: in [0, 1].

    Returns:
        The indices of those that stay, best first.
    """
    flat = masks.reshape(len(masks), masks[:1].size).astype(np.float32)  # (K, H * W)
    areas = flat.sum(1)
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        common = flat[kept] @ flat[index]
        union = areas[kept] + areas[index] - common
        if areas[index] > 0 and not (common > max_iou * union).any():
            kept.append(index)
    return kept
