"""Diffusion transformers with text apart: PixArt-alpha and PixArt-Sigma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trace_mm.attention.layers import AttentionLayer
from trace_mm.diffusion.families.base import EmbeddingShapes, Family, register_family
from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from trace_mm.diffusion.text_encoders import TextEncoders
else:
    torch = lazy_module("torch")


@register_family
class PixArtFamily(Family):
    """``PixArtTransformer2DModel``: image and text attend apart, at one resolution.

    The empty prompt is a single token. Attention to it is 1, whatever LoRA in ``to_q`` and
    ``to_k`` of ``attn2`` does.
    """

    denoiser = "PixArtTransformer2DModel"
    lora_targets = (
        r"transformer_blocks\.\d+\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2))"
    )
    prompts_vary_in_length = True

    def layers(self, denoiser: Any, text_tokens: int) -> list[AttentionLayer]:
        """The ``attn1`` layers."""
        stride = int(denoiser.config.patch_size)
        return [
            AttentionLayer(f"transformer_blocks.{index}.attn1", block.attn1, stride)
            for index, block in enumerate(denoiser.transformer_blocks)
        ]

    def latent_multiple(self, denoiser: Any) -> int:
        """Latents are cut into patches."""
        return int(denoiser.config.patch_size)

    def native_latents(self, config: Mapping[str, Any]) -> int:
        """As its config says."""
        return int(config["sample_size"])

    def call(
        self,
        denoiser: Any,
        noisy: Tensor,
        timesteps: Tensor,
        text: Mapping[str, Tensor],
        latent_stride: int,
    ) -> Tensor:
        """PixArt-alpha at 1024 pixels also takes the image's size.

        Half of the output channels are a learned variance, which nothing here needs.
        """
        batch, channels = noisy.shape[:2]
        size: dict[str, Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if denoiser.use_additional_conditions:
            height, width = noisy.shape[2] * latent_stride, noisy.shape[3] * latent_stride
            size["resolution"] = torch.tensor([[height, width]]).to(noisy).expand(batch, 2)
            size["aspect_ratio"] = torch.tensor([[height / width]]).to(noisy).expand(batch, 1)
        output: Tensor = denoiser(
            noisy,
            encoder_hidden_states=text["prompt_embeds"],
            encoder_attention_mask=text.get("prompt_mask"),
            timestep=timesteps,
            added_cond_kwargs=size,
        ).sample
        return output[:, :channels]

    def encode_prompt(
        self, prompt: str, encoders: TextEncoders, config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """T5's embedding of the prompt in small letters; of the empty one the end token alone.

        The pipeline pads it and then hides the padding from every query: the result is the same.
        """
        prompt = prompt.lower().strip()
        return {"prompt_embeds": encoders.encode(1, prompt, pad_to=None).last_hidden_state}

    def embedding_shapes(self, config: Mapping[str, Any]) -> EmbeddingShapes:
        """T5's width."""
        return {"prompt_embeds": (-1, config["caption_channels"] or config["cross_attention_dim"])}
