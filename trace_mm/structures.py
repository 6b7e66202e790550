"""The sample that passes between datasets, models and metrics."""

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData
from numpy.typing import NDArray


class EdgeDataSample(BaseDataElement):
    """One image's edges: ground truth, prediction, or both.

    Meta information: ``img_path`` (str or None), ``image_id`` (int or str), ``ori_shape`` (H, W),
    and of photos ``orientation``, see :class:`trace_mm.files.Orientation`.

    Attributes:
        gt_edges: bool array (A, H, W), one thin edge map for each of A annotators
            (A = 1 for instance and panoptic annotations).
        pred_edges: float32 tensor (H, W) in [0, 1], at the image's own size.
        token_edges: the prediction before it was enlarged, float32 tensor (h, w) in [0, 1] on the
            model's token grid or at its decoder's resolution; of models that have one, for images
            that are read as a whole.
        pseudo_edges: what a student is to learn, float32 tensor (h, w) in [0, 1]: the teacher's
            edges on its token grid, or on another one up to the image's own size.
        timestep: the diffusion timestep t* that the edges were read at.
        scores: dict that maps each timestep of the search to its emergence score (Eq. 1).
    """

    gt_edges: np.ndarray
    pred_edges: torch.Tensor
    token_edges: torch.Tensor
    pseudo_edges: torch.Tensor
    timestep: int
    scores: dict[int, float]


class InstanceDataSample(EdgeDataSample):
    """One image's instance masks beside its edges. As in mmdet's samples, all are ``InstanceData``.

    Meta information: that of ``EdgeDataSample``.

    Attributes:
        source_instances: what another method found: ``masks`` bool tensor (K, H, W), ``labels``
            int64 (K,), and ``scores`` float64 (K,) if it has any.
        pred_instances: the prediction: ``masks``, ``labels`` and ``scores``, and ``sources``, for
            each mask the indices of the source's masks that it was made of.
    """

    source_instances: InstanceData
    pred_instances: InstanceData


class SemanticDataSample(EdgeDataSample):
    """One image's classes beside its edges.

    Meta information: that of ``EdgeDataSample``.

    Attributes:
        class_scores: what another method gives to each class, float32 array (C, h, w).
        gt_classes: the true class number of each pixel, int32 array (H, W), -1 does not count.
        pred_classes: the predicted one, int32 array (H, W).
    """

    class_scores: np.ndarray
    gt_classes: np.ndarray
    pred_classes: np.ndarray


def edges_of(sample: EdgeDataSample) -> NDArray[np.float32]:
    """A prediction's edges as float32 (H, W) in [0, 1]."""
    edges: NDArray[np.float32] = sample.pred_edges.detach().cpu().float().numpy()
    return edges
