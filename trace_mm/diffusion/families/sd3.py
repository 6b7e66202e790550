"""Joint transformers whose image tokens come first: Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trace_mm.attention.layers import AttentionLayer
from trace_mm.diffusion.families.base import EmbeddingShapes, Family, register_family
from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional

    from trace_mm.diffusion.text_encoders import TextEncoders
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")

_T5_TOKENS = 256


@register_family
class SD3Family(Family):
    """``SD3Transformer2DModel``: image and text attend together, image tokens first.

    Some blocks of SD3.5 Medium have a second layer, ``attn2``, in which the image attends to
    itself alone. What the text asks in the last block leads nowhere: the gradient of LoRA in its
    ``add_q_proj`` is always of zeros.
    """

    denoiser = "SD3Transformer2DModel"
    lora_targets = (
        r"transformer_blocks\.\d+\.(attn2?\.(to_q|to_k|to_v|to_out\.0|add_[qkv]_proj|to_add_out)"
        r"|ff(_context)?\.net\.(0\.proj|2))"
    )

    def layers(self, denoiser: Any, text_tokens: int) -> list[AttentionLayer]:
        """The image's part of each joint layer, and the layers of the image alone."""
        stride = int(denoiser.config.patch_size)
        image = slice(0, -text_tokens) if text_tokens else slice(None)
        found = []
        for index, block in enumerate(denoiser.transformer_blocks):
            name = f"transformer_blocks.{index}"
            found.append(AttentionLayer(f"{name}.attn", block.attn, stride, image))
            if getattr(block, "attn2", None) is not None:
                found.append(AttentionLayer(f"{name}.attn2", block.attn2, stride))
        return found

    def latent_multiple(self, denoiser: Any) -> int:
        """Latents are cut into patches."""
        return int(denoiser.config.patch_size)

    def native_latents(self, config: Mapping[str, Any]) -> int:
        """As its config says."""
        return int(config["sample_size"])

    def largest_latents(self, denoiser: Any) -> int | None:
        """Positions are cut out of a fixed grid of them."""
        return int(denoiser.config.pos_embed_max_size) * int(denoiser.config.patch_size)

    def call(
        self,
        denoiser: Any,
        noisy: Tensor,
        timesteps: Tensor,
        text: Mapping[str, Tensor],
        latent_stride: int,
    ) -> Tensor:
        """The timestep is 1000 sigma."""
        output: Tensor = denoiser(
            noisy,
            encoder_hidden_states=text["prompt_embeds"],
            pooled_projections=text["pooled_projections"],
            timestep=timesteps,
        ).sample
        return output

    def encode_prompt(
        self, prompt: str, encoders: TextEncoders, config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Two CLIP encoders side by side, then T5; zeros stand for a T5 that was left out."""
        first, second = encoders.encode(1, prompt), encoders.encode(2, prompt)
        clip = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        width = int(config["joint_attention_dim"])
        if encoders.has(3):
            t5 = encoders.encode(3, prompt, pad_to=_T5_TOKENS).last_hidden_state  # (1, 256, width)
        else:
            t5 = torch.zeros(1, _T5_TOKENS, width)
        clip = functional.pad(clip, (0, width - clip.shape[-1]))  # (1, 77, width)
        return {
            "prompt_embeds": torch.cat([clip, t5], dim=1),  # (1, 77 + 256, width)
            "pooled_projections": torch.cat([first.text_embeds, second.text_embeds], dim=-1),
        }

    def embedding_shapes(self, config: Mapping[str, Any]) -> EmbeddingShapes:
        """As its config says."""
        return {
            "prompt_embeds": (-1, config["joint_attention_dim"]),
            "pooled_projections": (config["pooled_projection_dim"],),
        }
