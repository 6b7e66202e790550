"""Panoptic quality of segments: counts of each image, and the scores of their sum.

The definition is that of Kirillov et al., "Panoptic Segmentation" (CVPR 2019), with the rules for
void pixels and crowds that COCO's evaluation follows.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.panoptic import VOID

_MAX_ID = 2**31 - 1  # two ids are one int64


@dataclass(frozen=True)
class SegmentCounts:
    """What PQ needs to know of one category, in one image or in many.

    Attributes:
        iou: sum of the IoU of the matches.
        true_positives: number of matches.
        false_positives: predicted segments without a match.
        false_negatives: true segments without a match.
    """

    iou: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    @property
    def segments(self) -> int:
        """How many matches and segments without a match there are."""
        return self.true_positives + self.false_positives + self.false_negatives


class Quality(NamedTuple):
    """Panoptic quality of a category, or its mean over some, in [0, 1].

    Attributes:
        pq: panoptic quality; of one category it is ``sq * rq``.
        sq: segmentation quality, the mean IoU of matches; 0 without a match.
        rq: recognition quality, the F1 score of segments.
        categories: how many categories this is the mean of.
    """

    pq: float
    sq: float
    rq: float
    categories: int = 1


@dataclass(frozen=True)
class ImageQuality:
    """Means over images, each in [0, 1].

    Attributes:
        pq: panoptic quality.
        sq: mean IoU of matches; 0 in an image without a match.
        rq: F1 score of instances.
        images: how many have an instance, true or found; the others do not count.
    """

    pq: float
    sq: float
    rq: float
    images: int

    def to_dict(self) -> dict[str, float]:
        """``image_PQ``, ``image_SQ``, ``image_RQ``, ``image_PQ_images``."""
        names = ("image_PQ", "image_SQ", "image_RQ")
        values = zip(names, (self.pq, self.sq, self.rq), strict=True)
        return {**dict(values), "image_PQ_images": self.images}


@dataclass(frozen=True)
class PanopticScores:
    """Panoptic quality of a dataset.

    Attributes:
        all: mean over the categories that occur in the ground truth or in a prediction; None if
            none does.
        things: mean over those that are things; None likewise.
        stuff: mean over the others; None likewise.
        by_category: of each category that occurs, by its id.
        counts: what the scores were computed from, by category id.
        by_image: panoptic quality of each image's things as one class, averaged; None if it was not
            computed, or there are none.
    """

    all: Quality | None
    things: Quality | None
    stuff: Quality | None
    by_category: dict[int, Quality]
    counts: dict[int, SegmentCounts]
    by_image: ImageQuality | None = None

    def percentages(self) -> dict[str, float]:
        """``PQ``, ``SQ``, ``RQ`` and the same with ``_th`` and ``_st``, in [0, 100].

        What is None is left out.
        """
        groups = (("", self.all), ("_th", self.things), ("_st", self.stuff))
        return {
            f"{name}{suffix}": 100 * value
            for suffix, quality in groups
            if quality is not None
            for name, value in zip(("PQ", "SQ", "RQ"), quality[:3], strict=True)
        }


def count_segments(
    true_ids: NDArray[Any],
    true_categories: Mapping[int, int],
    predicted_ids: NDArray[Any],
    predicted_categories: Mapping[int, int],
    crowds: Collection[int] = (),
) -> dict[int, SegmentCounts]:
    """Match the segments of one image and count.

    A predicted and a true segment match if they are of one category, the true one is no crowd, and
    their IoU is above 0.5; pixels of the prediction that are void in the ground truth are left out
    of the union. Such a match is the only one of both. A predicted segment without a match is a
    false positive, unless more than half of it is void or a crowd of its category in the ground
    truth. A true segment without a match is a false negative, unless it is a crowd. What is void in
    the prediction gets no mercy.

    Args:
        true_ids: segment ids (H, W), 0 is void.
        true_categories: category of each true segment; those that no pixel shows are false
            negatives.
        predicted_ids: segment ids (H, W), 0 is void.
        predicted_categories: category of each predicted segment.
        crowds: the true segments that are crowds.

    Returns:
        Counts by category, for the categories that occur.

    Raises:
        ValueError: if the sizes differ, or a segment has no category or no pixel.

    Examples:
        >>> import numpy as np
        >>> true, found = np.array([[1, 1, 2, 2]]), np.array([[7, 7, 7, 8]])
        >>> counts = count_segments(true, {1: 1, 2: 1}, found, {7: 1, 8: 1})[1]  # of category 1
        >>> counts.true_positives, counts.false_positives, counts.false_negatives
        (1, 1, 1)
    """
    overlaps = _overlaps(true_ids, predicted_ids)
    true_areas: dict[int, int] = defaultdict(int)
    areas: dict[int, int] = defaultdict(int)
    for (true, predicted), shared in overlaps.items():
        true_areas[true] += shared
        areas[predicted] += shared
    areas.pop(VOID, None)
    true_areas.pop(VOID, None)
    _check_categories(true_areas, true_categories, "true")
    _check_categories(areas, predicted_categories, "predicted")
    invisible = [number for number in predicted_categories if number not in areas]
    if invisible:
        raise ValueError(f"no pixel shows the predicted segments {invisible[:5]}")

    crowds = frozenset(crowds)
    ious: dict[int, list[float]] = defaultdict(list)
    ignored: dict[int, int] = defaultdict(int)  # pixels of each prediction in void and crowds
    matched_true, matched = set(), set()
    for (true, predicted), shared in overlaps.items():
        if predicted == VOID:
            continue
        if true == VOID:
            ignored[predicted] += shared
            continue
        category = predicted_categories[predicted]
        if category != true_categories[true]:
            continue
        if true in crowds:
            ignored[predicted] += shared
            continue
        union = areas[predicted] + true_areas[true] - shared - overlaps.get((VOID, predicted), 0)
        if 2 * shared > union:
            ious[category].append(shared / union)
            matched_true.add(true)
            matched.add(predicted)

    missed: dict[int, int] = defaultdict(int)
    for true, category in true_categories.items():
        missed[category] += true not in matched_true and true not in crowds
    false: dict[int, int] = defaultdict(int)
    for predicted, category in predicted_categories.items():
        false[category] += predicted not in matched and 2 * ignored[predicted] <= areas[predicted]
    counts = {
        category: SegmentCounts(
            math.fsum(ious[category]), len(ious[category]), false[category], missed[category]
        )
        for category in sorted({*missed, *false})
    }
    return {category: found for category, found in counts.items() if found.segments}


def sum_counts(images: Iterable[Mapping[int, SegmentCounts]]) -> dict[int, SegmentCounts]:
    """Counts of all images together, by category; the order of the images does not matter."""
    by_category: dict[int, list[SegmentCounts]] = defaultdict(list)
    for image in images:
        for category, counts in image.items():
            by_category[category].append(counts)
    return {
        category: SegmentCounts(
            math.fsum(counts.iou for counts in found),  # exact, and so the same in any order
            sum(counts.true_positives for counts in found),
            sum(counts.false_positives for counts in found),
            sum(counts.false_negatives for counts in found),
        )
        for category, found in sorted(by_category.items())
    }


def panoptic_quality(
    counts: Mapping[int, SegmentCounts], things: Collection[int]
) -> PanopticScores:
    """Scores from the counts of a dataset.

    Categories without any segment, true or predicted, are left out of the means.

    Args:
        counts: by category id, see ``sum_counts``.
        things: ids of the categories that are things; the others are stuff.

    Examples:
        >>> import numpy as np
        >>> true, found = np.array([[1, 1, 2, 2]]), np.array([[7, 7, 7, 8]])
        >>> counts = count_segments(true, {1: 1, 2: 2}, found, {7: 1, 8: 2})
        >>> scores = panoptic_quality(sum_counts([counts]), things=[1])
        >>> round(scores.percentages()["PQ_th"], 1)
        66.7
    """
    by_category = {
        category: _quality(found) for category, found in counts.items() if found.segments
    }
    return PanopticScores(
        all=_mean(by_category.values()),
        things=_mean(value for key, value in by_category.items() if key in things),
        stuff=_mean(value for key, value in by_category.items() if key not in things),
        by_category=by_category,
        counts=dict(counts),
    )


def mean_image_quality(
    counts: Iterable[Mapping[int, SegmentCounts]], categories: Collection[int]
) -> ImageQuality | None:
    """The mean of the panoptic quality of each image, with some categories taken as one class.

    Args:
        counts: of each image, by category.
        categories: those that count, such as things.

    Returns:
        None if no image has an instance of them.
    """
    found = []
    for image in counts:
        chosen = [{0: one} for category, one in image.items() if category in categories]
        total = sum_counts(chosen).get(0, SegmentCounts())
        if total.segments:
            found.append(_quality(total))
    if not found:
        return None
    pq, sq, rq = (math.fsum(values) / len(found) for values in [*zip(*found, strict=True)][:3])
    return ImageQuality(pq, sq, rq, len(found))


def _overlaps(true_ids: NDArray[Any], predicted_ids: NDArray[Any]) -> dict[tuple[int, int], int]:
    """Number of pixels of each pair (true id, predicted id) that occurs.

    Segments are long runs of equal pairs, so that sorting the runs is far cheaper than sorting
    the pixels.
    """
    if true_ids.ndim != 2 or true_ids.shape != predicted_ids.shape:
        raise ValueError(
            f"the prediction is {predicted_ids.shape} (H, W), the ground truth {true_ids.shape}"
        )
    for ids in (true_ids, predicted_ids):
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) <= _MAX_ID:
            raise ValueError(f"segment ids must lie in 0 to {_MAX_ID}")
    pairs = true_ids.ravel().astype(np.int64) << 32 | predicted_ids.ravel().astype(np.int64)
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))  # (R,), of the runs
    lengths = np.diff(starts, append=len(pairs))  # (R,)
    kinds, which = np.unique(pairs[starts], return_inverse=True)  # (P,), (R,)
    counts = np.zeros(len(kinds), dtype=np.int64)
    np.add.at(counts, which, lengths)
    return {
        (pair >> 32, pair & _MAX_ID): count
        for pair, count in zip(kinds.tolist(), counts.tolist(), strict=True)
    }


def _check_categories(areas: Mapping[int, int], categories: Mapping[int, int], kind: str) -> None:
    missing = [number for number in areas if number not in categories]
    if missing:
        raise ValueError(f"{kind} segments without a category: {missing[:5]}")


def _quality(counts: SegmentCounts) -> Quality:
    matches = counts.true_positives
    weight = matches + 0.5 * (counts.false_positives + counts.false_negatives)
    mean_iou = counts.iou / matches if matches else 0.0
    return Quality(counts.iou / weight, mean_iou, matches / weight)


def _mean(qualities: Iterable[Quality]) -> Quality | None:
    found = list(qualities)
    if not found:
        return None
    pq, sq, rq = (math.fsum(values) / len(found) for values in list(zip(*found, strict=True))[:3])
    return Quality(pq, sq, rq, len(found))
