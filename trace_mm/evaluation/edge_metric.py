"""The edge benchmark as a metric for mmengine's test loop."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric

from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.evaluation.edge_counts import CountingSettings
from trace_mm.evaluation.edge_scores import summarize
from trace_mm.files import write_atomically
from trace_mm.registry import METRICS


@METRICS.register_module()
class InstanceEdgeMetric(BaseMetric):
    """ODS, OIS, AP, precision and recall at ODS, and clDice of instance edges (paper, App. F).

    Images are counted in worker processes while the model makes the next ones.

    Args:
        tolerance: matching radius as a fraction of the image's diagonal.
        tolerances: further radii, at which ODS is reported too.
        thresholds: number of thresholds, evenly spaced inside (0, 1).
        suppress: False for detectors whose maps are thinned already.
        smooth: radius in pixels of the triangle filter before non-maximum suppression.
        border: width in pixels of the rim where predictions fade out.
        workers: processes a rank; None means one for each usable core, but no more than 8.
        out_file: JSON file to write all scores, the precision-recall curve and each image's scores
            to; None for none.
        progress: show a progress bar.
        collect_device: "cpu" or "gpu", see mmengine.
        prefix: put before the scores' names, with a slash.
    """

    default_prefix = "edges"

    def __init__(
        self,
        tolerance: float = 0.0075,
        tolerances: Sequence[float] = (),
        thresholds: int = 99,
        suppress: bool = True,
        smooth: int = 1,
        border: int = 5,
        workers: int | None = None,
        out_file: str | None = None,
        progress: bool = True,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        others = tuple(extra for extra in tolerances if extra != tolerance)
        self.settings = CountingSettings(
            tolerances=(tolerance, *others),
            thresholds=thresholds,
            suppress=suppress,
            smooth=smooth,
            border=border,
        )
        self.workers = workers
        self.out_file = out_file
        self.progress = progress
        self._pool: CountingPool | None = None
        self._image_ids: list[Any] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Queue a batch for counting.

        Args:
            data_batch: not used.
            data_samples: dicts with ``pred_edges`` (H, W) in [0, 1], ``gt_edges`` bool (A, H, W)
                and ``image_id``.

        Raises:
            ValueError: if a map does not fit its ground truth; names the image.
        """
        if self._pool is None:
            show = self.progress and is_main_process()
            self._pool = CountingPool(self.settings, self.workers, progress=show)
        try:
            for sample in data_samples:
                image_id = sample.get("image_id")
                edges = sample["pred_edges"].detach().cpu().float().numpy()
                self._pool.submit(edges, sample["gt_edges"], name=f"image {image_id}")
                self._image_ids.append(image_id)
        except BaseException:
            self._stop()
            raise

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for all counts and compute the scores; see mmengine."""
        if self._pool is not None:
            try:
                counts = self._pool.results()
                self.results = list(zip(self._image_ids, counts, strict=True))
            finally:
                self._stop()
        return super().evaluate(size)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Scores of all images.

        Args:
            results: pairs of an image's id and its ``ImageCounts``.

        Returns:
            ``ODS``, ``OIS``, ``AP``, ``precision``, ``recall``, ``threshold``, ``clDice``, and
            ``ODS@t`` for each further tolerance t.
        """
        scores = summarize([counts for _, counts in results], self.settings)
        if self.out_file is not None:
            content = {**scores.to_dict(), "image_id": [image_id for image_id, _ in results]}
            write_atomically(Path(self.out_file), json.dumps(content, indent=1).encode())
        return scores.metrics()

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool, self._image_ids = None, []
