"""Scores of classes refined and decided as a model, for MMEngine's test loop."""

from typing import Any

import torch

from trace_mm.refinement.score_propagation import ScorePropagation
from trace_mm.registry import MODELS, TASK_UTILS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import SemanticDataSample, edges_of


@MODELS.register_module()
class ScoreRefiner(RunnerModel):
    """Refines the scores of another method by the edges of an edge model, and decides.

    Args:
        edges: config of an edge model, such as ``dict(type="TraceStudent", ...)``; None decides
            scores as they are, for comparison.
        refiner: config of what refines, such as ``dict(type="ScorePropagation")``.
    """

    def __init__(self, edges: dict[str, Any] | None, refiner: dict[str, Any]) -> None:
        super().__init__()
        self.edges = None if edges is None else MODELS.build(edges)
        self.refiner: ScorePropagation = TASK_UTILS.build(refiner)

    @torch.no_grad()
    def forward(
        self,
        inputs: list[torch.Tensor],
        data_samples: list[SemanticDataSample] | None = None,
        mode: str = "predict",
    ) -> list[SemanticDataSample]:
        """Decide the classes of each image.

        Args:
            inputs: images (3, H, W) in [0, 1].
            data_samples: with ``class_scores``.
            mode: "predict".

        Returns:
            The samples, each with ``pred_classes``, and ``pred_edges`` if there is an edge model.

        Raises:
            ValueError: for another mode, or if there are no samples.
        """
        if mode != "predict" or data_samples is None:
            raise ValueError("ScoreRefiner can only predict, and needs samples with scores")
        if self.edges is not None:
            data_samples = self.edges(inputs, data_samples, mode="predict")
        for image, sample in zip(inputs, data_samples, strict=True):
            lines = None if self.edges is None else edges_of(sample)
            size = image.shape[1], image.shape[2]
            sample.pred_classes = self.refiner(sample.class_scores, size, lines)
        return data_samples
