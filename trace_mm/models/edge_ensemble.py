"""The mean of several edge models: labels that are better than those of each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trace_mm.ops import upsample_edges
from trace_mm.registry import MODELS
from trace_mm.runner_model import RunnerModel
from trace_mm.structures import EdgeDataSample

_LEAST = 1e-6  # of an edge and of its absence, whose logits would be infinite


@MODELS.register_module()
class EdgeEnsemble(RunnerModel):
    """Asks several models for edges and takes the mean, as a teacher that costs their sum.

    Models differ in how sure they are of their edges. A mean of one that says 0 or 1 and one that
    says 0.1 or 0.3 would be the first alone. So each model's edges p are first made softer or
    stronger: sigmoid(temper * logit(p)) ** gamma.

    Where all models have edges on a token grid, the mean is taken on the finest of these grids.

    Args:
        members: ``dict(model=..., temper=1.0, gamma=1.0)`` each: ``model`` is the config of an
            edge model. ``temper`` below 1 makes a model less sure, ``gamma`` below 1 its edges
            stronger.
        data_preprocessor: of MMEngine; casts to the device by default.

    Raises:
        ValueError: if there is no member, or a member's option is unknown or not positive.
    """

    def __init__(
        self,
        members: Sequence[dict[str, Any]],
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        if not members:
            raise ValueError("an ensemble needs at least one member")
        self.curves = [_curve(member) for member in members]
        self.models = torch.nn.ModuleList(MODELS.build(member["model"]) for member in members)
        self.requires_grad_(False).eval()

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[EdgeDataSample] | None = None,
        mode: str = "predict",
    ) -> list[EdgeDataSample]:
        """MMEngine's entry point; an ensemble only predicts.

        Raises:
            ValueError: in any other mode.
        """
        if mode != "predict":
            raise ValueError(f"EdgeEnsemble can only predict, got mode {mode!r}")
        return self.predict(inputs, data_samples)

    @torch.no_grad()
    def predict(
        self, inputs: Sequence[Tensor], data_samples: Sequence[EdgeDataSample] | None = None
    ) -> list[EdgeDataSample]:
        """Edges of images.

        Args:
            inputs: float (3, H, W) in [0, 1] each; sizes may differ.
            data_samples: one an image, which models may need to find it; new ones if None.

        Returns:
            The samples, with ``pred_edges`` (H, W) float32 in [0, 1] on the CPU and, if all members
            have them, ``token_edges`` (h, w) on the finest grid.
        """
        samples = data_samples or [EdgeDataSample() for _ in inputs]
        for image, sample in zip(inputs, samples, strict=True):
            found = [model([image], [sample.clone()])[0] for model in self.models]
            on_grid = all("token_edges" in one for one in found)
            maps = [one.token_edges if on_grid else one.pred_edges for one in found]
            mean = self._mean([edges.cpu().float() for edges in maps])  # (1, 1, h, w)
            if on_grid:
                sample.token_edges = mean[0, 0]
                mean = upsample_edges(mean, (image.shape[1], image.shape[2]), "bicubic")
            sample.pred_edges = mean[0, 0].clamp(0, 1)
        return list(samples)

    def _mean(self, maps: list[Tensor]) -> Tensor:
        """The mean (1, 1, h, w) of edges (h_i, w_i), at the size of the largest."""
        size = max((tuple(edges.shape) for edges in maps), key=lambda shape: shape[0] * shape[1])
        tempered = [
            torch.sigmoid(temper * edges.clamp(_LEAST, 1 - _LEAST).logit()) ** gamma
            for edges, (temper, gamma) in zip(maps, self.curves, strict=True)
        ]
        fitted = [
            functional.interpolate(edges[None, None], size, mode="bilinear", align_corners=False)
            for edges in tempered
        ]
        return torch.stack(fitted).mean(0)


def _curve(member: dict[str, Any]) -> tuple[float, float]:
    """How a member's edges are tempered: its ``temper`` and ``gamma``."""
    unknown = set(member) - {"model", "temper", "gamma"}
    if unknown or "model" not in member:
        raise ValueError(f"a member has model, temper and gamma, got {sorted(member)}")
    temper, gamma = float(member.get("temper", 1)), float(member.get("gamma", 1))
    if not (temper > 0 and gamma > 0):
        raise ValueError(f"temper and gamma must be positive, got {temper} and {gamma}")
    return temper, gamma
