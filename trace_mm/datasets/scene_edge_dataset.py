"""Procedural scenes as an edge benchmark."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from trace_mm.datasets.ground_truth import instance_borders
from trace_mm.datasets.scenes import render_scene
from trace_mm.registry import DATASETS
from trace_mm.structures import EdgeDataSample


@DATASETS.register_module()
class SceneEdgeDataset(Dataset[dict[str, Any]]):
    """Scenes with the borders between their instances and the background.

    Args:
        seed: of the series.
        start: index of the first scene.
        length: how many scenes.
        size: (H, W) of each.
    """

    metainfo: dict[str, Any] = {}  # noqa: RUF012 (mmengine reads it as it is)

    def __init__(
        self, seed: int, start: int = 0, length: int = 500, size: tuple[int, int] = (128, 128)
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        self.seed, self.start, self.length, self.size = seed, start, length, tuple(size)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs`` float32 (3, H, W) in [0, 1] and ``data_samples`` with ``gt_edges``."""
        if not 0 <= index < self.length:
            raise IndexError(f"there are {self.length} scenes, none has index {index}")
        number = self.start + index
        scene = render_scene(self.seed, number, (self.size[0], self.size[1]))
        pixels = torch.from_numpy(np.ascontiguousarray(scene.image.transpose(2, 0, 1)))
        sample = EdgeDataSample(
            metainfo={
                "img_path": None,
                "image_id": f"scene-{self.seed}-{number:06d}",
                "ori_shape": self.size,
            },
            gt_edges=instance_borders(scene.instance_ids)[None],
        )
        return {"inputs": pixels.float() / 255.0, "data_samples": sample}
