"""CLIP's vision tower as transformers has it, which LLaVA 1.5 and LLaVA-NeXT see through."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from trace_mm.attention import AttentionLayer
from trace_mm.vision.families.base import TransformersFamily, register_family


@register_family
class ClipVision(TransformersFamily):
    """transformers' ``CLIPVisionModel``; position embeddings are resized to the image's grid."""

    towers = ("CLIPVisionModel",)
    model_types = ("clip_vision_model", "clip")

    def classes(self) -> tuple[Any, Any]:
        """The classes of config and tower."""
        from transformers import CLIPVisionConfig, CLIPVisionModel

        return CLIPVisionConfig, CLIPVisionModel

    def layers(self, tower: Any) -> list[AttentionLayer]:
        """The attention of each layer of the encoder, without the class token."""
        return [
            AttentionLayer(name, module, self.size_multiple(tower), slice(1, None))
            for name, module in tower.named_modules()
            if name.endswith(".self_attn")
        ]

    def size_multiple(self, tower: Any) -> int:
        """Side of a patch in pixels."""
        return int(tower.config.patch_size)

    def native_side(self, config: Mapping[str, Any]) -> int:
        """Side of the images whose grid the position embeddings have; transformers' default."""
        return int(config.get("image_size", 224))

    def call(self, tower: Any, pixels: Tensor) -> Any:
        """The whole tower."""
        return tower(pixels, interpolate_pos_encoding=True)
