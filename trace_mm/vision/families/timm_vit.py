"""timm's plain vision transformers: DINO, DINOv2, EVA, EVA-02, DINOv3 and their like."""

from typing import Any

from torch import Tensor

from trace_mm.attention import AttentionLayer
from trace_mm.vision.families.base import Color, VisionFamily, register_family


@register_family
class TimmViT(VisionFamily):
    """timm's ``VisionTransformer``, with DeiT's, and ``Eva``, made with ``dynamic_img_size=True``.

    Class, distillation and register tokens come first in the sequence and are left out of the maps.
    """

    towers = ("VisionTransformer", "VisionTransformerDistilled", "Eva")

    def layers(self, tower: Any) -> list[AttentionLayer]:
        """The attention of each block.

        Raises:
            ValueError: if a block has no attention module of its own, or tokens are no patches of
                the image but come from a convolutional network.
        """
        embedding = type(tower.patch_embed).__name__
        if embedding != "PatchEmbed":
            raise ValueError(
                f"patch embeddings of class {embedding} are not supported: tokens must be patches "
                "of the image, not features of a convolutional network"
            )
        if not all(hasattr(block, "attn") for block in tower.blocks):
            raise ValueError(
                f"blocks of class {type(tower.blocks[0]).__name__} are not supported: attention is "
                "no module of its own in them"
            )
        patches = slice(tower.num_prefix_tokens, None)
        return [
            AttentionLayer(f"blocks.{number}.attn", block.attn, self.size_multiple(tower), patches)
            for number, block in enumerate(tower.blocks)
        ]

    def size_multiple(self, tower: Any) -> int:
        """Side of a patch in pixels."""
        return int(tower.patch_embed.patch_size[0])

    def native_size(self, tower: Any) -> int:
        """Side of the images whose grid the position embeddings have."""
        return int(tower.patch_embed.img_size[0])

    def normalization(self, tower: Any) -> tuple[Color, Color]:
        """As timm's config of the weights says; ImageNet's where it says nothing."""
        config: dict[str, Any] = getattr(tower, "pretrained_cfg", {})
        return (
            config.get("mean") or (0.485, 0.456, 0.406),
            config.get("std") or (0.229, 0.224, 0.225),
        )

    def call(self, tower: Any, pixels: Tensor) -> Any:
        """All blocks, without pooling and head."""
        return tower.forward_features(pixels)
