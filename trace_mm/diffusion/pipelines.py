"""The backbone in a pipeline of diffusers that is in memory already."""

import copy
from typing import Any

import torch

from trace_mm.attention import select_layers
from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.families import attention_layers, family_of
from trace_mm.diffusion.null_text import check_embeddings
from trace_mm.diffusion.source import is_flow_scheduler
from trace_mm.diffusion.text_encoders import TextEncoders


def backbone_of_pipeline(pipeline: Any, layers: str | None = None) -> DiffusionBackbone:
    """The backbone of a text-to-image pipeline, which keeps working: its modules are shared.

    The denoiser is the pipeline's own, and so is the VAE, unless it is of half precision and
    would overflow in it (``force_upcast``): then it is copied in float32. Weights no longer ask
    for gradients.

    Args:
        pipeline: a ``DiffusionPipeline`` with its text encoders, all on one device.
        layers: a regular expression; only self-attention layers whose name it finds are read.

    Returns:
        The backbone, on the pipeline's device and in its precision.

    Raises:
        ValueError: if it is no such pipeline, its denoiser's class is not supported, or its parts
            are offloaded or missing.
    """
    parts = getattr(pipeline, "components", None)
    if not isinstance(parts, dict):
        raise ValueError(f"{type(pipeline).__name__} is no pipeline of diffusers")
    name = type(pipeline).__name__
    denoiser = parts.get("unet") or parts.get("transformer")
    if denoiser is None:
        raise ValueError(f"{name} has no denoiser")
    offloaded = [part for part, module in parts.items() if hasattr(module, "_hf_hook")]
    if offloaded:
        raise ValueError(
            f"{name} offloads {', '.join(offloaded)}: give the pipeline before it is told to "
            "offload, or the folder of its weights with backbone=dict(offload=...)"
        )
    try:
        family = family_of(denoiser)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    encoders = _PipelineEncoders(parts)
    if not encoders.count:
        raise ValueError(f"{name} has no text encoder, so that the empty prompt is unknown")
    null_text = family.encode_prompt("", encoders, denoiser.config)
    check_embeddings(null_text, family.embedding_shapes(denoiser.config), f"encoders of {name}")
    chosen = attention_layers(denoiser, null_text["prompt_embeds"].shape[1])
    if layers is not None:
        chosen = select_layers(chosen, layers)
    device = next(denoiser.parameters()).device
    vae, scheduler = _vae(parts.get("vae")), _noise_schedule(parts["scheduler"])
    return DiffusionBackbone(denoiser, scheduler, vae, null_text, chosen).to(device)


def _vae(vae: Any) -> Any:
    """A VAE that does not overflow."""
    if vae is None or next(vae.parameters()).dtype != torch.float16:
        return vae
    return copy.deepcopy(vae).float() if vae.config.get("force_upcast", True) else vae


def _noise_schedule(scheduler: Any) -> Any:
    """The schedule that the model was trained with, whatever samples from it."""
    from diffusers import DDPMScheduler  # slow to import

    if is_flow_scheduler(type(scheduler).__name__):
        return type(scheduler).from_config(scheduler.config)
    return DDPMScheduler.from_config(scheduler.config)


class _PipelineEncoders(TextEncoders):
    """The text encoders and tokenizers of a pipeline, where and as they are."""

    def __init__(self, parts: dict[str, Any]) -> None:
        super().__init__("", {}, {}, None, keep=True)
        self._parts_of = parts

    def has(self, number: int) -> bool:
        """Whether the pipeline has this encoder."""
        return self._parts_of.get(_name("text_encoder", number)) is not None

    def _parts(self, number: int) -> tuple[Any, Any]:
        encoder = self._parts_of[_name("text_encoder", number)]
        self._device = encoder.device
        return self._parts_of[_name("tokenizer", number)], encoder


def _name(kind: str, number: int) -> str:
    return kind if number == 1 else f"{kind}_{number}"
