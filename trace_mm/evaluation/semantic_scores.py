"""Mean intersection over union of semantic maps, as MMSegmentation counts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORED = -1
"""Of true pixels that do not count, and of predicted ones that have no class."""


def confusion_matrix(
    truth: NDArray[np.int32], predicted: NDArray[np.int32], classes: int
) -> NDArray[np.int64]:
    """How many pixels of each true class were taken for each class.

    Args:
        truth: class numbers (H, W), -1 does not count.
        predicted: class numbers (H, W), -1 is no class.
        classes: how many there are.

    Returns:
        (C, C + 1), true classes by predicted ones; the last column is of no class.

    Raises:
        ValueError: if the sizes differ, or a number is of no class.

    Examples:
        >>> import numpy as np
        >>> confusion_matrix(np.array([[0, 0, 1, -1]]), np.array([[0, 1, 1, 0]]), 2).tolist()
        [[1, 1, 0], [0, 1, 0]]
    """
    if truth.shape != predicted.shape or truth.ndim != 2:
        raise ValueError(
            f"truth {truth.shape} and prediction {predicted.shape} must be (H, W) of one size"
        )
    for what, numbers in (("truth", truth), ("prediction", predicted)):
        if numbers.dtype.kind not in "iu":
            raise ValueError(f"the {what} must hold whole numbers, got {numbers.dtype}")
        low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
        if low < IGNORED or high >= classes:
            raise ValueError(
                f"the {what} has {low if low < IGNORED else high}, but there are {classes} classes"
            )
    counted = truth != IGNORED
    columns = np.where(predicted == IGNORED, classes, predicted)[counted].astype(np.int64)
    pairs = truth[counted].astype(np.int64) * (classes + 1) + columns  # (N,)
    counts: NDArray[np.int64] = np.bincount(pairs, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1)


@dataclass(frozen=True)
class SemanticScores:
    """Scores of a data set, in [0, 1]; nan where a class is neither there nor predicted.

    Attributes:
        confusion: see :func:`confusion_matrix`, of all images together.
        iou: intersection over union of each class, (C,).
        accuracy: the share of each class that was found, (C,).
    """

    confusion: NDArray[np.int64]
    iou: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @classmethod
    def of(cls, confusion: NDArray[np.int64]) -> "SemanticScores":
        """The scores of a confusion matrix (C, C + 1)."""
        square = confusion[:, :-1]
        both = square.diagonal().astype(np.float64)  # (C,)
        true = confusion.sum(1)
        union = true + square.sum(0) - both
        with np.errstate(invalid="ignore"):  # 0 / 0 is nan
            return cls(confusion, both / union, both / true)

    def percentages(self) -> dict[str, float]:
        """``mIoU`` and ``mAcc``, means over classes, and ``aAcc``, over pixels, in [0, 100].

        Classes that neither ground truth nor predictions have are left out of the mean; nan if no
        pixel counts.
        """
        pixels = int(self.confusion.sum())
        found = int(self.confusion[:, :-1].trace())
        return {
            "mIoU": 100 * _mean(self.iou),
            "mAcc": 100 * _mean(self.accuracy),
            "aAcc": 100 * found / pixels if pixels else float("nan"),
        }

    def by_class(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Name, IoU and accuracy in per cent, and pixels of each class; None where undefined."""
        return [
            {
                "name": name,
                "IoU": _percent(self.iou[number]),
                "Acc": _percent(self.accuracy[number]),
                "pixels": int(self.confusion[number].sum()),
            }
            for number, name in enumerate(names)
        ]


def semantic_table(scores: SemanticScores, names: Sequence[str], by_class: bool = False) -> str:
    """mIoU, mAcc and aAcc in per cent, and perhaps a line for each class."""
    lines = [f"{name}  {value:.2f}" for name, value in scores.percentages().items()]
    if by_class:
        width = max(map(len, names))
        lines.append(f"{'':{width}}     IoU     Acc")
        for row in scores.by_class(names):
            numbers = "".join(
                f"{'-':>8}" if row[key] is None else f"{row[key]:8.2f}" for key in ("IoU", "Acc")
            )
            lines.append(f"{row['name']:{width}}{numbers}")
    return "\n".join(lines)


def semantic_json(scores: SemanticScores, names: Sequence[str]) -> dict[str, Any]:
    """All scores in per cent and the confusion matrix, as values that JSON can hold."""
    totals = {
        key: None if np.isnan(value) else value for key, value in scores.percentages().items()
    }
    return {
        **totals,
        "classes": scores.by_class(names),
        "confusion": scores.confusion.tolist(),
    }


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _percent(value: float) -> float | None:
    return None if np.isnan(value) else 100 * float(value)
