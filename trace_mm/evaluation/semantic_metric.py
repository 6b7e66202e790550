"""Mean intersection over union as a metric for mmengine's test loop."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from numpy.typing import NDArray

from trace_mm.evaluation.semantic_scores import (
    SemanticScores,
    confusion_matrix,
    semantic_json,
    semantic_table,
)
from trace_mm.files import write_atomically
from trace_mm.registry import METRICS


@METRICS.register_module()
class SemanticIoUMetric(BaseMetric):
    """mIoU, mAcc and aAcc in per cent (paper, Table 13), as MMSegmentation's ``IoUMetric``.

    Pixels of all images are counted together; classes that neither ground truth nor predictions
    have are left out of the means. Each image is counted as it comes.

    Args:
        classes: names of the classes, in order; by default those of the dataset.
        by_class: log the scores of each class too.
        out_file: JSON file to write all scores and the confusion matrix to; None for none.
        collect_device: "cpu" or "gpu", see mmengine.
        prefix: put before the scores' names, with a slash.
    """

    default_prefix = "semantic"

    def __init__(
        self,
        classes: Sequence[str] | None = None,
        by_class: bool = True,
        out_file: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.classes = None if classes is None else tuple(classes)
        self.by_class = by_class
        self.out_file = out_file

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes.

        Raises:
            ValueError: if nobody says them.
        """
        names = self.classes or tuple((self.dataset_meta or {}).get("classes") or ())
        if not names:
            raise ValueError(
                "SemanticIoUMetric needs the names of the classes: the dataset's metainfo has no "
                "'classes', and the argument 'classes' is not given"
            )
        return names

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count a batch.

        Args:
            data_batch: not used.
            data_samples: dicts with ``image_id``, and ``pred_classes`` and ``gt_classes``, class
                numbers (H, W); -1 is no class, and does not count in the truth.

        Raises:
            ValueError: if a prediction does not fit its truth; names the image.
        """
        for sample in data_samples:
            try:
                truth, found = _numbers(sample["gt_classes"]), _numbers(sample["pred_classes"])
                counts = confusion_matrix(truth, found, len(self.names))
            except ValueError as error:
                raise ValueError(f"image {sample.get('image_id')!r}: {error}") from error
            self.results.append((sample.get("image_id"), counts))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Scores of all images.

        Args:
            results: of each image its id and its confusion matrix.

        Returns:
            ``mIoU``, ``mAcc`` and ``aAcc`` in [0, 100].
        """
        confusion = np.stack([counts for _, counts in results]).sum(0)
        scores = SemanticScores.of(confusion)
        table = semantic_table(scores, self.names, self.by_class)
        print_log(f"semantic scores of {len(results)} images\n{table}", logger="current")
        if self.out_file is not None:
            content = {"images": len(results), **semantic_json(scores, self.names)}
            write_atomically(Path(self.out_file), json.dumps(content, indent=1).encode())
        return scores.percentages()


def _numbers(values: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
