"""DropLoss: no penalty for objects that no pseudo mask is of (CutLER, Wang et al., CVPR 2023).

A proposal that overlaps no pseudo mask may be an object that the generator of masks has missed.
Where it is treated as background, a detector unlearns what it could find beyond its labels.
"""

from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.samplers import RandomSampler
from torch import Tensor

from trace_mm.registry import MODELS, TASK_UTILS


def drop_weights(overlaps: Tensor, threshold: float = 0.01) -> Tensor:
    """Weights of proposals in the loss: 1 for those that overlap a pseudo mask, else 0.

    Args:
        overlaps: (N,), the largest IoU of each proposal's box with that of any pseudo mask.
        threshold: an overlap counts above it.

    Returns:
        (N,), of the same type.
    """
    return (overlaps > threshold).to(overlaps.dtype)


@TASK_UTILS.register_module()
class DropLossSampler(RandomSampler):
    """mmdet's ``RandomSampler``, which also notes how much each sample overlaps the pseudo masks.

    For the head :class:`DropLossBBoxHead`. Arguments are those of ``RandomSampler``.
    """

    def sample(
        self, assign_result: Any, pred_instances: Any, gt_instances: Any, **more: Any
    ) -> Any:
        """Sample; the result's ``overlaps`` (P + N,) are of its positives, then its negatives."""
        result = super().sample(assign_result, pred_instances, gt_instances, **more)
        # mmdet has put the true boxes before the proposals here, where it takes them for such.
        chosen = torch.cat([result.pos_inds, result.neg_inds])
        result.overlaps = assign_result.max_overlaps[chosen]
        return result


@MODELS.register_module()
class DropLossBBoxHead(Shared2FCBBoxHead):
    """mmdet's ``Shared2FCBBoxHead``, whose classification loss drops what no pseudo mask overlaps.

    The loss is the mean of weight times cross-entropy over all samples, dropped ones counted. Its
    sampler must be a :class:`DropLossSampler`.

    Args:
        drop_threshold: see :func:`drop_weights`; None drops nothing.
        settings: as of ``Shared2FCBBoxHead``.
    """

    def __init__(self, *, drop_threshold: float | None = 0.01, **settings: Any) -> None:
        super().__init__(**settings)
        self.drop_threshold = drop_threshold

    def get_targets(
        self, sampling_results: list[Any], rcnn_train_cfg: Any, concat: bool = True
    ) -> tuple[Any, ...]:
        """What the samples should be, as mmdet's; dropped ones have the weight 0."""
        labels, weights, *boxes = super().get_targets(sampling_results, rcnn_train_cfg, False)
        if self.drop_threshold is not None:
            weights = [
                weight * drop_weights(self._overlaps(result), self.drop_threshold)
                for weight, result in zip(weights, sampling_results, strict=True)
            ]
        targets = (labels, weights, *boxes)
        return tuple(torch.cat(one, 0) for one in targets) if concat else targets

    def loss(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        *targets: Any,
        **more: Any,
    ) -> dict[str, Tensor]:
        """Losses as mmdet's; that of classes is the mean over all samples, dropped ones counted."""
        losses: dict[str, Tensor] = super().loss(
            cls_score, bbox_pred, rois, labels, label_weights, *targets, **more
        )
        if "loss_cls" in losses and len(label_weights):
            # mmdet has divided by the number of those that are not dropped, at least by 1.
            losses["loss_cls"] = losses["loss_cls"] * (
                (label_weights > 0).sum().clamp(min=1) / len(label_weights)
            )
        return losses

    @staticmethod
    def _overlaps(result: Any) -> Tensor:
        overlaps = getattr(result, "overlaps", None)
        if overlaps is None:
            raise ValueError(
                "DropLossBBoxHead needs the sampler trace_mm.DropLossSampler in train_cfg.rcnn"
            )
        found: Tensor = overlaps
        return found
