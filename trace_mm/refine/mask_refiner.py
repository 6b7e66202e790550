"""Masks refined as a model, for MMEngine's test loop."""

from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData

from trace_mm.refine.boundary_guided_propagation import (
    BoundaryGuidedPropagation,
    Refinement,
)
from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.outlines import outline_scores
from trace_mm.registry import MODELS, TASK_UTILS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import InstanceDataSample


@MODELS.register_module()
class MaskRefiner(RunnerModel):
    """Refines the masks of another method by the edges of an edge model.

    Args:
        edges: config of an edge model, such as ``dict(type="TraceStudent", ...)``.
        refiner: config of what refines, such as ``dict(type="BoundaryGuidedPropagation")``; None
            leaves masks as they are, for comparison. Then the edges are of use only for the scores
            of masks that have none.
    """

    def __init__(self, edges: dict[str, Any], refiner: dict[str, Any] | None) -> None:
        super().__init__()
        self.edges = MODELS.build(edges)
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
            The samples, each with ``pred_edges`` and ``pred_instances``.

        Raises:
            ValueError: for another mode, or if there are no samples.
        """
        if mode != "predict" or data_samples is None:
            raise ValueError("MaskRefiner can only predict, and needs samples with masks")
        for sample in self.edges(inputs, data_samples, mode="predict"):
            lines = sample.pred_edges.detach().cpu().float().numpy()
            source = instance_masks(sample.source_instances)
            refined = self._refined(source, lines)
            sample.pred_instances = _instance_data(refined.instances)
            sample.pred_instances.sources = list(refined.sources)
        return data_samples

    def _refined(self, source: InstanceMasks, edges: np.ndarray) -> Refinement:
        if self.refiner is not None:
            return self.refiner(source, edges)
        scores = outline_scores(source.masks, edges) if source.scores is None else source.scores
        kept = InstanceMasks(source.masks, source.labels, scores)
        numbers = range(len(source))
        return Refinement(kept, tuple((number,) for number in numbers), tuple(0 for _ in numbers))


def instance_masks(data: InstanceData) -> InstanceMasks:
    """Masks in a data sample, as what refines them takes them."""
    scores = data.get("scores")
    return InstanceMasks(
        data.masks.cpu().numpy(),
        data.labels.cpu().numpy(),
        None if scores is None else scores.cpu().numpy().astype(np.float64),
    )


def _instance_data(instances: InstanceMasks) -> InstanceData:
    data = InstanceData()
    data.masks = torch.from_numpy(instances.masks)
    data.labels = torch.from_numpy(instances.labels)
    if instances.scores is not None:
        data.scores = torch.from_numpy(instances.scores).float()
    return data
