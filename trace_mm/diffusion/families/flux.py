"""Joint transformers whose text tokens come first: FLUX.1 dev and schnell."""

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

_PATCH = 2  # latents are packed in squares of so many, by the pipeline and not by the model
_GUIDANCE = 1.0


@register_family
class FluxFamily(Family):
    """``FluxTransformer2DModel``: image and text attend together, text tokens first.

    FLUX.1 dev takes a scale of guidance. It is 1, for none: guidance leads from the empty prompt
    to the prompt, and here both are empty unless prompts are asked for.
    """

    denoiser = "FluxTransformer2DModel"
    lora_targets = (
        r"transformer_blocks\.\d+\.(attn\.(to_q|to_k|to_v|to_out\.0|add_[qkv]_proj|to_add_out)"
        r"|ff(_context)?\.net\.(0\.proj|2))"
        r"|single_transformer_blocks\.\d+\.(attn\.(to_q|to_k|to_v)|proj_mlp|proj_out)"
    )

    def layers(self, denoiser: Any, text_tokens: int) -> list[AttentionLayer]:
        """The image's part of the layers of the double and then of the single blocks."""
        image = slice(text_tokens, None)
        return [
            AttentionLayer(f"{part}.{index}.attn", block.attn, _PATCH, image)
            for part in ("transformer_blocks", "single_transformer_blocks")
            for index, block in enumerate(getattr(denoiser, part))
        ]

    def latent_multiple(self, denoiser: Any) -> int:
        """Latents are packed in squares."""
        return _PATCH

    def native_latents(self, config: Mapping[str, Any]) -> int:
        """1024 pixels; its config does not say so."""
        return 128

    def latent_channels(self, config: Mapping[str, Any]) -> int:
        """A quarter, since squares of four are packed into one."""
        return int(config["in_channels"]) // _PATCH**2

    def call(
        self,
        denoiser: Any,
        noisy: Tensor,
        timesteps: Tensor,
        text: Mapping[str, Tensor],
        latent_stride: int,
    ) -> Tensor:
        """The timestep is sigma; tokens come with their places, of which text has none."""
        batch, _, height, width = noisy.shape
        packed = functional.pixel_unshuffle(noisy, _PATCH)  # (B, C * 4, h, w)
        rows, columns = height // _PATCH, width // _PATCH
        places = torch.zeros(rows, columns, 3, device=noisy.device, dtype=noisy.dtype)
        places[..., 1] = torch.arange(rows, device=noisy.device)[:, None]
        places[..., 2] = torch.arange(columns, device=noisy.device)
        prompt, guidance = text["prompt_embeds"], None
        if denoiser.config.guidance_embeds:
            guidance = torch.full((batch,), _GUIDANCE, device=noisy.device)
        output: Tensor = denoiser(
            packed.flatten(2).mT,  # (B, h * w, C * 4)
            encoder_hidden_states=prompt,
            pooled_projections=text["pooled_projections"],
            timestep=timesteps / 1000,
            img_ids=places.flatten(0, 1),
            txt_ids=places.new_zeros(prompt.shape[1], 3),
            guidance=guidance,
        ).sample
        return functional.pixel_shuffle(output.mT.unflatten(2, (rows, columns)), _PATCH)

    def encode_prompt(
        self, prompt: str, encoders: TextEncoders, config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """T5, and CLIP's pooled output. Schnell was trained on shorter prompts than dev."""
        tokens = 512 if config.get("guidance_embeds") else 256
        return {
            "prompt_embeds": encoders.encode(2, prompt, pad_to=tokens).last_hidden_state,
            "pooled_projections": encoders.encode(1, prompt).pooler_output,
        }

    def embedding_shapes(self, config: Mapping[str, Any]) -> EmbeddingShapes:
        """As its config says."""
        return {
            "prompt_embeds": (-1, config["joint_attention_dim"]),
            "pooled_projections": (config["pooled_projection_dim"],),
        }
