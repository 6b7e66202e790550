"""Qwen2.5-VL's vision tower as transformers has it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trace_mm.attention import AttentionLayer
from trace_mm.vision.families.base import TransformersFamily, register_family


@register_family
class Qwen25Vision(TransformersFamily):
    """transformers' ``Qwen2_5_VisionTransformerPretrainedModel``.

    In most blocks patches see only a window of the image. The others, which the config names in
    ``fullatt_block_indexes``, are read. Patches come in groups of 2x2, which are merged into one
    token of the language model, and groups come window by window.
    """

    towers = ("Qwen2_5_VisionTransformerPretrainedModel",)
    model_types = ("qwen2_5_vl", "qwen2_5_vl_vision")
    one_at_a_time = True

    def classes(self) -> tuple[Any, Any]:
        """The classes of config and tower."""
        from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
        from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
            Qwen2_5_VisionTransformerPretrainedModel,
        )

        return Qwen2_5_VLVisionConfig, Qwen2_5_VisionTransformerPretrainedModel

    def layers(self, tower: Any) -> list[AttentionLayer]:
        """The attention of each block that sees the whole image."""
        return [
            AttentionLayer(f"blocks.{number}.attn", block.attn, int(tower.config.patch_size))
            for number, block in enumerate(tower.blocks)
            if number in tower.config.fullatt_block_indexes
        ]

    def windowed_layers(self, tower: Any) -> list[str]:
        """The attention of the other blocks."""
        full = tower.config.fullatt_block_indexes
        return [
            f"blocks.{number}.attn" for number in range(len(tower.blocks)) if number not in full
        ]

    def size_multiple(self, tower: Any) -> int:
        """Side in pixels of a group of patches."""
        return int(tower.config.patch_size * tower.config.spatial_merge_size)

    def native_side(self, config: Mapping[str, Any]) -> int:
        """64 patches a side. The tower was trained on images of any size, so this is a choice."""
        return 64 * int(config.get("patch_size", 14))

    def call(self, tower: Any, pixels: Tensor) -> Any:
        """The whole tower, for one image (1, 3, H, W)."""
        patches, grid = patches_of(tower.config, pixels)
        return tower(patches, grid_thw=grid)

    def places(self, tower: Any, grid: tuple[int, int]) -> Tensor:
        """Where in the sequence the patches are, (h * w,), in row-major order of the patches."""
        config = tower.config
        group = config.spatial_merge_size
        window = config.window_size // group // config.patch_size  # in groups
        patches = torch.arange(grid[0] * grid[1]).reshape(
            grid[0] // group, group, grid[1] // group, group
        )
        groups = patches.transpose(1, 2).flatten(2)  # (h / 2, w / 2, 4)
        sequence = torch.cat(
            [
                groups[top : top + window, left : left + window].flatten()
                for top in range(0, groups.shape[0], window)
                for left in range(0, groups.shape[1], window)
            ]
        )
        return sequence.argsort()


def patches_of(config: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """An image as the tower takes it.

    Args:
        config: of the tower.
        pixels: (1, 3, H, W), normalised.

    Returns:
        Patches (N, 3 * frames * side * side), group after group, and their grid [[1, h, w]].
    """
    side, group, frames = config.patch_size, config.spatial_merge_size, config.temporal_patch_size
    height, width = pixels.shape[2] // side, pixels.shape[3] // side
    cells = pixels[0].reshape(-1, height // group, group, side, width // group, group, side)
    groups = cells.permute(1, 4, 2, 5, 0, 3, 6)  # (h / 2, w / 2, 2, 2, 3, side, side)
    patches = groups.flatten(0, 3)[:, :, None].expand(-1, -1, frames, -1, -1)  # a still video
    return patches.flatten(1), torch.tensor([[1, height, width]], device=pixels.device)
