"""What a loaded model predicts of images; apart, since torch is needed only once there are any."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.structures import EdgeDataSample


def predict_images(
    model: Any, images: Sequence[NamedImage], device: str | torch.device
) -> list[EdgeDataSample]:
    """Predictions of images, with ``pred_edges``.

    Args:
        model: on its device.
        images: that it is shown.
        device: of the model.

    Raises:
        ValueError: if the model is no edge model.
    """
    inputs = [torch.from_numpy(image.pixels).permute(2, 0, 1).contiguous() for image in images]
    return predict_samples(model, inputs, [_sample_of(image) for image in images], device)


@torch.no_grad()
def predict_samples(
    model: Any, images: Sequence[Tensor], samples: list[EdgeDataSample], device: str | torch.device
) -> list[EdgeDataSample]:
    """The samples with what a model predicts of their images.

    Args:
        model: on its device.
        images: float (3, H, W) in [0, 1] each.
        samples: one an image.
        device: of the model.

    Raises:
        ValueError: if the model is no edge model.
    """
    placed = [image.to(device) for image in images]
    found: list[EdgeDataSample] = model(placed, samples, mode="predict")
    if any("pred_edges" not in sample for sample in found):
        raise ValueError(f"{type(model).__name__} is no edge model: it predicts no pred_edges")
    return found


def _sample_of(image: NamedImage) -> EdgeDataSample:
    """What models are told of an image."""
    stem = PurePosixPath(image.name).with_suffix("").as_posix()
    meta = {"image_id": stem, "img_path": image.name, "ori_shape": image.pixels.shape[:2]}
    return EdgeDataSample(metainfo={**meta, "orientation": image.orientation})
