"""U-Nets: Stable Diffusion 1.5 and 2.1, SDXL, and the shipped model."""

from __future__ import annotations

import re
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

_SELF_ATTENTION = re.compile(r"^(?:(?P<part>down|up)_blocks\.(?P<index>\d+)|mid_block)\..*\.attn1$")


@register_family
class UNetFamily(Family):
    """``UNet2DConditionModel``: image and text attend apart, at several resolutions."""

    denoiser = "UNet2DConditionModel"
    lora_targets = (
        r".*\.transformer_blocks\.\d+\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2))"
    )

    def layers(self, denoiser: Any, text_tokens: int) -> list[AttentionLayer]:
        """The ``attn1`` layers.

        Each down block but the last halves the latent after its attention, and the up blocks go
        back the same way, so that a block's place tells its stride.
        """
        deepest = len(denoiser.down_blocks) - 1
        found: list[tuple[int, AttentionLayer]] = []
        for name, module in denoiser.named_modules():
            match = _SELF_ATTENTION.match(name)
            if match is None:
                continue
            index = int(match["index"] or 0)
            stage = {"down": index, "up": deepest - index, None: deepest}[match["part"]]
            turn = {"down": 0, None: 1, "up": 2}[match["part"]]
            found.append((turn, AttentionLayer(name, module, stride=2**stage)))
        return [layer for _, layer in sorted(found, key=lambda item: item[0])]

    def latent_multiple(self, denoiser: Any) -> int:
        """Each block but the last halves the latent."""
        return int(2 ** (len(denoiser.config.block_out_channels) - 1))

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
        """SDXL also takes the pooled text and the image's size."""
        arguments: dict[str, Any] = {}
        if "text_embeds" in text:
            arguments["added_cond_kwargs"] = {
                "text_embeds": text["text_embeds"],
                "time_ids": _time_ids(noisy, latent_stride),
            }
        prompt = text["prompt_embeds"]
        output: Tensor = denoiser(
            noisy, timesteps, encoder_hidden_states=prompt, **arguments
        ).sample
        return output

    def encode_prompt(
        self, prompt: str, encoders: TextEncoders, config: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """The last layer of CLIP; for SDXL the last but one of both encoders, and a pooled one."""
        if not encoders.has(1):
            raise ValueError("a U-Net without a first text encoder, such as SDXL's refiner")
        if encoders.count == 1:
            return {"prompt_embeds": encoders.encode(1, prompt).last_hidden_state}
        first, second = encoders.encode(1, prompt), encoders.encode(2, prompt)
        both = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return {"prompt_embeds": both, "text_embeds": second.text_embeds}

    def embedding_shapes(self, config: Mapping[str, Any]) -> EmbeddingShapes:
        """SDXL's pooled text and six numbers of size share one projection."""
        width = config["cross_attention_dim"]
        shapes: EmbeddingShapes = {
            "prompt_embeds": (-1, width if isinstance(width, int) else width[0])
        }
        if config.get("addition_embed_type") == "text_time":
            sizes = 6 * config["addition_time_embed_dim"]
            shapes["text_embeds"] = (config["projection_class_embeddings_input_dim"] - sizes,)
        return shapes


def _time_ids(noisy: Tensor, latent_stride: int) -> Tensor:
    """SDXL's size condition (B, 6): original size, no crop, target size."""
    height, width = noisy.shape[2] * latent_stride, noisy.shape[3] * latent_stride
    sizes = torch.tensor([height, width, 0, 0, height, width]).to(noisy)
    return sizes.expand(noisy.shape[0], 6)
