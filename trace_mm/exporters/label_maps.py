"""Masks that may overlap as one map, of which each pixel belongs to one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_mm.refinement.instances import InstanceMasks


@dataclass(frozen=True)
class LabelMap:
    """Masks as a map.

    Attributes:
        ids: int32 (H, W), 0 background, else from 1 up without gaps.
        sources: for each id the index of its mask, in their order.
        overlaps: whether a pixel belongs to several masks.
        left_out: how many masks the map had no number for.
    """

    ids: NDArray[np.int32]
    sources: list[int]
    overlaps: bool
    left_out: int


def label_map(masks: InstanceMasks, most: int) -> LabelMap:
    """Draw masks onto one another: those of higher scores, and of these the smaller, on top.

    Args:
        masks: (K, H, W).
        most: how many the map may hold; those at the bottom are left out.
    """
    areas = masks.masks.sum((1, 2)) if len(masks) else np.zeros(0)
    scores = np.zeros(len(masks)) if masks.scores is None else masks.scores
    order = np.lexsort((-areas, scores))  # what lies on top comes last
    drawn = order[max(0, len(order) - most) :]
    ids = np.zeros(masks.size, dtype=np.int32)
    for index in drawn:
        ids[masks.masks[index]] = index + 1
    seen = np.unique(ids[ids > 0])
    table = np.zeros(len(masks) + 1, dtype=np.int32)
    table[seen] = np.arange(1, len(seen) + 1)
    covered = np.count_nonzero(ids)
    return LabelMap(
        table[ids],
        [int(value) - 1 for value in seen],
        bool(areas[drawn].sum() > covered),
        len(order) - len(drawn),
    )
