"""How good edge maps are: ODS, OIS, AP and clDice by the BSDS protocol. Arrays in, numbers out.

For each image, non-maximum suppression thins the soft map; then, at each threshold, what is left is
thinned to one pixel and matched one-to-one with each annotator's edges within a radius
(``edge_counts.count_edges``). The counts of all images make the scores (``summarize``).
``evaluate_edges`` does both. The definitions are in ``docs/benchmark.md``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts
from trace_mm.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class EdgeScores(ShortRepr):
    """Scores of a set of edge maps; every score is in [0, 1].

    Attributes:
        ods: F-measure at the one threshold that is best for the whole set.
        ois: F-measure with each image at its own best threshold.
        ap: average precision, the area under the precision-recall curve.
        precision: at the ODS threshold.
        recall: at the ODS threshold.
        threshold: the ODS threshold.
        cldice: mean over images of clDice on skeletons at the ODS threshold.
        images: the number of images.
        tolerance: the matching radius as a fraction of the diagonal.
        curve: lists ``threshold``, ``precision``, ``recall``, ``f``, one entry a threshold.
        ods_by_tolerance: ODS at each tolerance that was asked for.
        image_f: best F-measure of each image, in order.
        image_threshold: the threshold of each of these.
        image_cldice: clDice of each image at the ODS threshold.
    """

    ods: float
    ois: float
    ap: float
    precision: float
    recall: float
    threshold: float
    cldice: float
    images: int
    tolerance: float
    curve: dict[str, list[float]] = field(repr=False)
    ods_by_tolerance: dict[float, float]
    image_f: list[float] = field(repr=False)
    image_threshold: list[float] = field(repr=False)
    image_cldice: list[float] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)

    def metrics(self) -> dict[str, float]:
        """The scores of the set by their usual names, ``ODS@t`` for each further tolerance t."""
        others = [extra for extra in self.ods_by_tolerance if extra != self.tolerance]
        return {
            "ODS": self.ods,
            "OIS": self.ois,
            "AP": self.ap,
            "precision": self.precision,
            "recall": self.recall,
            "threshold": self.threshold,
            "clDice": self.cldice,
            **{f"ODS@{extra:g}": self.ods_by_tolerance[extra] for extra in others},
        }


def evaluate_edges(
    predictions: Iterable[np.ndarray],
    targets: Iterable[np.ndarray],
    tolerance: float = 0.0075,
    thresholds: int = 99,
    workers: int = 1,
    tolerances: Sequence[float] = (),
    progress: bool = False,
) -> EdgeScores:
    """Score edge maps against true edges.

    Args:
        predictions: soft edge maps (H, W) in [0, 1]; sizes may differ between images.
        targets: for each, bool (A, H, W) with one thin edge map for each of A annotators.
        tolerance: matching radius as a fraction of the image's diagonal.
        thresholds: how many thresholds, evenly spaced inside (0, 1).
        workers: processes to count in; 1 counts in this one. With more, a script needs the usual
            ``if __name__ == "__main__"`` guard.
        tolerances: further radii for the curve of ODS over tolerance.
        progress: show a progress bar.

    Raises:
        ValueError: if there is no image, there are not as many predictions as targets, sizes
            differ between the two, or a map's values leave [0, 1].

    Examples:
        >>> import numpy as np
        >>> true = np.zeros((1, 40, 60), dtype=bool)
        >>> true[0, 20, 10:50] = True
        >>> scores = evaluate_edges([0.8 * true[0]], [true])
        >>> round(scores.ods, 2), round(scores.ois, 2)
        (1.0, 1.0)
    """
    others = tuple(extra for extra in tolerances if extra != tolerance)
    settings = CountingSettings(tolerances=(tolerance, *others), thresholds=thresholds)
    with CountingPool(settings, workers=workers, progress=progress) as pool:
        for prediction, target in zip(predictions, targets, strict=True):
            pool.submit(prediction, target)
        counts = pool.results()
    return summarize(counts, settings)


def summarize(
    counts: Sequence[ImageCounts], settings: CountingSettings | None = None
) -> EdgeScores:
    """Scores of a set of images from their counts.

    Args:
        counts: one entry an image, all made with ``settings``.
        settings: None for the protocol's.

    Raises:
        ValueError: if there is no image.
    """
    settings = settings or CountingSettings()
    if not counts:
        raise ValueError("there is no image to score")
    levels = settings.levels
    totals = [_dataset_curve(counts, k) for k in range(len(settings.tolerances))]
    best = [_best_point(levels, *curve) for curve in totals]
    threshold, precision, recall, ods = best[0]
    at_ods = int(np.abs(levels - threshold).argmin())

    image_best = [_best_threshold(image) for image in counts]
    image_cldice = [_cldice(image, at_ods) for image in counts]
    dataset_precision, dataset_recall = totals[0]
    return EdgeScores(
        ods=ods,
        ois=_ois(counts, image_best),
        ap=_average_precision(dataset_precision, dataset_recall),
        precision=precision,
        recall=recall,
        threshold=threshold,
        cldice=float(np.mean(image_cldice)),
        images=len(counts),
        tolerance=settings.tolerances[0],
        curve={
            "threshold": levels.tolist(),
            "precision": dataset_precision.tolist(),
            "recall": dataset_recall.tolist(),
            "f": f_measure(dataset_precision, dataset_recall).tolist(),
        },
        ods_by_tolerance={
            tolerance: point[3] for tolerance, point in zip(settings.tolerances, best, strict=True)
        },
        image_f=[
            float(f_measure(*_image_curve(image))[t])
            for image, t in zip(counts, image_best, strict=True)
        ],
        image_threshold=[float(levels[t]) for t in image_best],
        image_cldice=image_cldice,
    )


def f_measure(precision: npt.ArrayLike, recall: npt.ArrayLike) -> np.ndarray:
    """Harmonic mean of precision and recall, 0 where both are 0; any one shape."""
    total = np.add(precision, recall)
    return 2 * np.multiply(precision, recall) / np.where(total > 0, total, 1)


def _dataset_curve(counts: Sequence[ImageCounts], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall (T,) over all images at tolerance ``k``."""
    predictions = np.sum([image.predictions for image in counts], axis=0)
    matched_predictions = np.sum([image.matched_predictions[k] for image in counts], axis=0)
    matched_targets = np.sum([image.matched_targets[k] for image in counts], axis=0)
    targets = sum(image.targets for image in counts)
    return matched_predictions / np.maximum(predictions, 1), matched_targets / max(targets, 1)


def _image_curve(image: ImageCounts) -> tuple[np.ndarray, np.ndarray]:
    return _dataset_curve([image], 0)


def _best_threshold(image: ImageCounts) -> int:
    """Index of the image's best threshold; of equally good ones the highest, with least edges."""
    f = f_measure(*_image_curve(image))
    return int(len(f) - 1 - f[::-1].argmax())


def _best_point(
    levels: np.ndarray, precision: np.ndarray, recall: np.ndarray
) -> tuple[float, float, float, float]:
    """Threshold, precision, recall and F where F is largest on the curve.

    As in the protocol, the curve is interpolated linearly between thresholds, in 100 steps.
    """
    position = np.linspace(0, len(levels) - 1, max(1, 99 * (len(levels) - 1) + 1))
    grid = np.arange(len(levels))
    threshold, precision, recall = (
        np.interp(position, grid, values) for values in (levels, precision, recall)
    )
    f = f_measure(precision, recall)
    best = int(f.argmax())
    return float(threshold[best]), float(precision[best]), float(recall[best]), float(f[best])


def _ois(counts: Sequence[ImageCounts], best: Sequence[int]) -> float:
    """F-measure of the counts that each image has at its own best threshold, summed up."""
    pairs = list(zip(counts, best, strict=True))
    predictions = sum(int(image.predictions[t]) for image, t in pairs)
    matched_predictions = sum(int(image.matched_predictions[0, t]) for image, t in pairs)
    matched_targets = sum(int(image.matched_targets[0, t]) for image, t in pairs)
    targets = sum(image.targets for image in counts)
    precision, recall = matched_predictions / max(predictions, 1), matched_targets / max(targets, 1)
    return float(f_measure(precision, recall))


def _average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the curve: precision at recalls 0, 0.01, ... 1, linear in between, 0 outside.

    Where several thresholds have one recall, the highest of them counts, as in the protocol.
    """
    recalls, last = np.unique(recall[::-1], return_index=True)
    if len(recalls) < 2:
        return 0.0
    grid = np.linspace(0, 1, 101)
    return float(np.interp(grid, recalls, precision[::-1][last], left=0, right=0).sum() / 100)


def _cldice(image: ImageCounts, t: int) -> float:
    """Skeletons' clDice (Shit et al., 2021) at threshold ``t`` and the first tolerance.

    Topology precision is the part of the predicted skeleton that is within the tolerance of any
    annotator's edges, topology sensitivity the part of the annotators' skeletons that is within the
    tolerance of the predicted skeleton. 1 if there is neither prediction nor target.
    """
    predictions = int(image.predictions[t])
    if predictions == 0 and image.target_skeleton == 0:
        return 1.0
    precision = int(image.near_predictions[0, t]) / max(predictions, 1)
    sensitivity = int(image.near_target_skeleton[0, t]) / max(image.target_skeleton, 1)
    return float(f_measure(precision, sensitivity))
