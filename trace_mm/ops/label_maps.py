"""Maps of segment numbers: holes filled, and small segments merged into their neighbours."""

import math

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

LabelMap = NDArray[np.int32]  # (H, W), 0 is no segment


def connected_parts(mask: NDArray[np.bool_]) -> LabelMap:
    """Numbers the parts of a mask whose pixels are connected through their sides, from 1.

    Examples:
        >>> import numpy as np
        >>> connected_parts(np.array([[True, False, True], [True, False, True]])).tolist()
        [[1, 0, 2], [1, 0, 2]]
    """
    return np.asarray(
        cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1], dtype=np.int32
    )


def fill_labels(labels: LabelMap, mask: NDArray[np.bool_]) -> LabelMap:
    """Give each pixel of a mask the label of the nearest labelled pixel in its part of the mask.

    Args:
        labels: (H, W), 0 where there is none; what lies outside the mask does not count.
        mask: bool (H, W).

    Returns:
        (H, W), 0 outside the mask and in parts without any label. What has a label keeps it.

    Examples:
        >>> import numpy as np
        >>> mask = np.array([[True, True, True, True, False]])
        >>> fill_labels(np.array([[1, 0, 0, 2, 0]]), mask).tolist()
        [[1, 1, 2, 2, 0]]
    """
    filled = np.where(mask, labels, 0)
    parts = connected_parts(mask)
    boxes = scipy.ndimage.find_objects(parts)
    for part in np.unique(parts[mask & (filled == 0)]).tolist():
        box = boxes[part - 1]
        inside = parts[box] == part
        known = np.where(inside, filled[box], 0)
        if known.any():
            nearest = scipy.ndimage.distance_transform_edt(
                known == 0, return_distances=False, return_indices=True
            )
            filled[box][inside] = known[nearest[0], nearest[1]][inside]
    return filled


def compact_labels(labels: LabelMap) -> LabelMap:
    """Labels (H, W) numbered anew from 1 without a gap, in the same order; 0 stays.

    Examples:
        >>> import numpy as np
        >>> compact_labels(np.array([[0, 7, 3]])).tolist()
        [[0, 2, 1]]
    """
    table = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int32)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(table)))
    present = present[present > 0]
    table[present] = np.arange(1, len(present) + 1)
    return table[labels]


def merge_small_labels(labels: LabelMap, least: float | NDArray[np.float64]) -> LabelMap:
    """Unite segments that are too small with the neighbour they share the longest border with.

    The smallest segment goes first, and what it becomes is measured again. Of equal neighbours the
    larger one counts, then the one with the lower number. A segment without neighbours stays.

    Args:
        labels: (H, W), 0 is no segment, and no neighbour.
        least: area in pixels from which a segment is large enough, for all or by label, (K + 1,).
            What segments merge into keeps its own.

    Returns:
        (H, W) with the numbers of the segments that remain.

    Examples:
        >>> import numpy as np
        >>> merge_small_labels(np.array([[1, 1, 1, 2]]), 2).tolist()
        [[1, 1, 1, 1]]
    """
    areas = np.bincount(labels.ravel()).tolist()
    borders = _border_lengths(labels)
    merged_into: dict[int, int] = {}
    limits = np.broadcast_to(least, len(areas)).tolist()
    small = {label for label in borders if areas[label] < limits[label]}
    while small:
        label = min(small, key=lambda one: (areas[one], one))
        neighbors = borders.pop(label)
        target = max(neighbors, key=lambda other: (neighbors[other], areas[other], -other))
        for other, length in neighbors.items():
            del borders[other][label]
            if other != target:
                borders[other][target] = borders[other].get(target, 0) + length
                borders[target][other] = borders[target].get(other, 0) + length
        areas[target] += areas[label]
        merged_into[label] = target
        small = {one for one, beside in borders.items() if areas[one] < limits[one] and beside}
    table = np.arange(len(areas), dtype=np.int32)
    for label in reversed(merged_into):  # what is merged last knows its segment first
        table[label] = table[merged_into[label]]
    return table[labels]


def join_small_labels(labels: LabelMap, share: float, reach: float) -> LabelMap:
    """Give segments that stand alone the number of a much larger one nearby.

    An object that something stands in front of falls into pieces. Of several larger segments the
    nearest counts, then the larger, then the one with the lower number.

    Args:
        labels: (H, W), 0 is no segment.
        share: a segment joins one if its area is below this share of that one's, in [0, 1).
        reach: how far the two may be apart, in pixels.

    Returns:
        (H, W), numbered as before. A segment that touches another stays what it is.

    Examples:
        >>> import numpy as np
        >>> join_small_labels(np.array([[1, 1, 1, 1, 0, 2]]), 0.5, 2).tolist()
        [[1, 1, 1, 1, 0, 1]]
    """
    areas = np.bincount(labels.ravel())
    small = areas < share * areas[1:].max(initial=0)
    small[0] = False
    touching = _border_lengths(labels) if small.any() else {}
    table = np.arange(len(areas), dtype=np.int32)
    boxes = scipy.ndimage.find_objects(labels) if small.any() else []
    margin = math.ceil(reach) + 1
    for label in sorted(np.flatnonzero(small).tolist(), key=lambda one: -areas[one]):
        box = boxes[label - 1] if label not in touching else None
        if box is None:
            continue
        wide = tuple(slice(max(one.start - margin, 0), one.stop + margin) for one in box)
        around = labels[wide]
        distance = scipy.ndimage.distance_transform_edt(around != label)
        near = np.unique(around[(distance <= reach) & (areas[label] < share * areas)[around]])
        if len(near := near[near > 0]):
            apart = scipy.ndimage.minimum(distance, around, near)
            _, _, target = min(zip(apart, -areas[near], near.tolist(), strict=True))
            table[label] = table[target]  # a larger one, which has joined what it joins
    return table[labels]


def _border_lengths(labels: LabelMap) -> dict[int, dict[int, int]]:
    """For each segment with neighbours, how many pairs of pixels it shares with each."""
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
        ]
    )  # (P, 2)
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs > 0).all(1)]
    borders: dict[int, dict[int, int]] = {}
    found, counts = np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)
    for (first, second), count in zip(found.tolist(), counts.tolist(), strict=True):
        borders.setdefault(first, {})[second] = count
        borders.setdefault(second, {})[first] = count
    return borders
