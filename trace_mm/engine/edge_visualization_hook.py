"""Pictures of predicted edges, during training and of a test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from numpy.typing import NDArray
from torch import Tensor

from trace_mm.engine.picture_names import flat_name_of_id, name_of_id
from trace_mm.files import write_atomically
from trace_mm.files.png import encode_png
from trace_mm.registry import HOOKS
from trace_mm.structures import EdgeDataSample, InstanceDataSample
from trace_mm.visualization import draw_overlay, draw_refinement


@HOOKS.register_module()
class EdgeVisualizationHook(Hook):
    """Gives pictures of validation images to the visualizer, and writes overlays of a test.

    A picture shows the image, the predicted edges, and the true ones where they are known, side by
    side. It goes to all backends of the visualizer: a folder, TensorBoard, ...

    Args:
        images: how many of the first images of each validation are drawn.
        out_dir: folder for a picture of each test image, called like its image id, with folders
            if this has slashes: its edges over it, or masks before and after refinement. None for
            none.
    """

    def __init__(self, images: int = 8, out_dir: str | None = None) -> None:
        self.images = images
        self.out_dir = None if out_dir is None else Path(out_dir)
        self._drawn = 0

    def before_val_epoch(self, runner: Runner) -> None:
        """Start with the first image again."""
        self._drawn = 0

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[EdgeDataSample] | None = None,
    ) -> None:
        """Draw what is still to be drawn."""
        for image, sample in _pairs(data_batch, outputs):
            if self._drawn == self.images:
                return
            panel = draw_panel(image, sample)
            name = f"val_{flat_name_of_id(sample.image_id)}"
            runner.visualizer.add_image(name, panel, step=runner.iter)
            self._drawn += 1

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[EdgeDataSample] | None = None,
    ) -> None:
        """Write overlays, or masks before and after where there are any."""
        if self.out_dir is None:
            return
        for image, sample in _pairs(data_batch, outputs):
            pixels = draw_test_picture(image, sample)
            name = name_of_id(sample.image_id)
            write_atomically(self.out_dir / f"{name}.png", encode_png(pixels))


def draw_test_picture(image: Tensor, sample: EdgeDataSample) -> NDArray[np.uint8]:
    """Edges over their image (3, H, W); of refined masks, those before, edges if any, those after.

    Returns:
        uint8 (H, W', 3) RGB.
    """
    if not isinstance(sample, InstanceDataSample):
        return draw_overlay(_as_pixels(image), _edges(sample))
    before, after = sample.source_instances, sample.pred_instances
    return draw_refinement(
        _as_pixels(image),
        before.masks.cpu().numpy(),
        _edges(sample) if "pred_edges" in sample else None,
        after.masks.cpu().numpy(),
        after.sources,
    )


def draw_panel(image: Tensor, sample: EdgeDataSample) -> NDArray[np.uint8]:
    """Image, predicted edges, and true edges if there are any, side by side.

    Args:
        image: (3, H, W) in [0, 1].
        sample: with ``pred_edges`` (H, W), and ``gt_edges`` (A, H, W) or not.

    Returns:
        uint8 (H, W', 3) RGB.
    """
    maps = [_edges(sample)]
    if "gt_edges" in sample:
        maps.append(sample.gt_edges.mean(axis=0, dtype=np.float32))  # the share of annotators
    grey = [np.repeat(edges[:, :, None], 3, axis=2) for edges in maps]  # (H, W, 3)
    panel = np.concatenate([_as_pixels(image), *grey], axis=1)
    return np.rint(np.clip(panel, 0, 1) * 255).astype(np.uint8)


def _pairs(
    data_batch: Any, outputs: Sequence[EdgeDataSample] | None
) -> list[tuple[Tensor, EdgeDataSample]]:
    return list(zip(data_batch["inputs"], outputs or [], strict=True))


def _edges(sample: EdgeDataSample) -> NDArray[np.float32]:
    edges: NDArray[np.float32] = sample.pred_edges.detach().cpu().float().numpy()
    return edges


def _as_pixels(image: Tensor) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = image.detach().cpu().float().numpy().transpose(1, 2, 0)
    return pixels  # (H, W, 3)
