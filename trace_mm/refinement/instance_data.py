"""Masks of an image in data samples, and out of them."""

import numpy as np
import torch
from mmengine.structures import InstanceData

from trace_mm.refinement.instances import InstanceMasks


def instance_masks(data: InstanceData) -> InstanceMasks:
    """Masks in a data sample, as what refines them takes them."""
    scores = data.get("scores")
    return InstanceMasks(
        data.masks.cpu().numpy(),
        data.labels.cpu().numpy(),
        None if scores is None else scores.cpu().numpy().astype(np.float64),
    )


def instance_data(instances: InstanceMasks) -> InstanceData:
    """Masks for a data sample: ``masks``, ``labels``, and ``scores`` if there are any."""
    data = InstanceData()
    data.masks = torch.from_numpy(instances.masks)
    data.labels = torch.from_numpy(instances.labels)
    if instances.scores is not None:
        data.scores = torch.from_numpy(instances.scores)
    return data
