"""The annotation's edges in the place of predicted ones: an upper bound."""

import torch

from trace_mm.registry import MODELS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import EdgeDataSample


@MODELS.register_module()
class TrueEdges(RunnerModel):
    """Predicts the true edges of an image, where any annotator has drawn one."""

    def forward(
        self,
        inputs: list[torch.Tensor],
        data_samples: list[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """Take over the edges of the annotation.

        Args:
            inputs: not used.
            data_samples: with ``gt_edges``.
            mode: "predict".

        Returns:
            The samples, each with ``pred_edges`` float32 (H, W), 0 or 1.

        Raises:
            ValueError: for another mode, or if a sample has no true edges.
        """
        if mode != "predict" or data_samples is None:
            raise ValueError("TrueEdges can only predict, and needs samples with true edges")
        for sample in data_samples:
            if "gt_edges" not in sample:
                raise ValueError(f"image {sample.get('image_id')} has no true edges")
            sample.pred_edges = torch.from_numpy(sample.gt_edges.any(0)).float()  # (H, W)
        return data_samples
