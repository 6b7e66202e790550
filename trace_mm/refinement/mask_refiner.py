"""Masks refined as a model, for MMEngine's test loop."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trace_mm.refinement.boundary_guided_propagation import (
    BoundaryGuidedPropagation,
    Refinement,
)
from trace_mm.refinement.instance_data import instance_data, instance_masks
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.scores import BY_EDGES, check_scores, scored
from trace_mm.registry import MODELS, TASK_UTILS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import InstanceDataSample, edges_of


@MODELS.register_module()
class MaskRefiner(RunnerModel):
    """Refines the masks of another method by the edges of an edge model.

    Args:
        edges: config of an edge model, such as ``dict(type="TraceStudent", ...)``.
        refiner: config of what refines, such as ``dict(type="BoundaryGuidedPropagation")``; None
            leaves masks as they are, for comparison. The edge model is then neither built nor run,
            unless masks are scored by edges.
        scores: "source", "constant" or "outline", see :func:`trace_mm.refinement.scored`; None for
            the refiner's, and "source" without a refiner: scores as they are, 1 where there are
            none.

    Raises:
        ValueError: if there are no such scores.
    """

    def __init__(
        self,
        edges: dict[str, Any],
        refiner: dict[str, Any] | None,
        scores: str | None = None,
    ) -> None:
        super().__init__()
        self.scores = scores or "source"
        check_scores(self.scores)
        if refiner is not None and scores is not None:
            refiner = {**refiner, "scores": scores}
        needs_edges = refiner is not None or self.scores == BY_EDGES
        self.edges = MODELS.build(edges) if needs_edges else None
        self.refiner: BoundaryGuidedPropagation | None = (
            None if refiner is None else TASK_UTILS.build(refiner)
        )

    @torch.no_grad()
    def forward(
        self,
        inputs: list[torch.Tensor],
        data_samples: list[InstanceDataSample] | None = None,
        mode: str = "predict",
    ) -> list[InstanceDataSample]:
        """Refine the masks of each image.

        Args:
            inputs: images (3, H, W) in [0, 1].
            data_samples: with ``source_instances``.
            mode: "predict".

        Returns:
            The samples, each with ``pred_instances``, and ``pred_edges`` if there is an edge model.

        Raises:
            ValueError: for another mode, or if there are no samples.
        """
        if mode != "predict" or data_samples is None:
            raise ValueError("MaskRefiner can only predict, and needs samples with masks")
        if self.edges is not None:
            data_samples = self.edges(inputs, data_samples, mode="predict")
        for sample in data_samples:
            lines = None if self.edges is None else edges_of(sample)
            refined = self._refined(instance_masks(sample.source_instances), lines)
            found = instance_data(refined.instances)
            found.scores, found.sources = found.scores.float(), list(refined.sources)
            sample.pred_instances = found
        return data_samples

    def _refined(self, source: InstanceMasks, edges: NDArray[np.float32] | None) -> Refinement:
        if self.refiner is not None:
            assert edges is not None  # a refiner comes with an edge model
            return self.refiner(source, edges)
        kept = scored(source, edges, self.scores)
        numbers = range(len(source))
        return Refinement(kept, tuple((number,) for number in numbers), tuple(0 for _ in numbers))
