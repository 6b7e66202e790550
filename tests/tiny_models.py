"""Diffusers folders with tiny random U-Nets, laid out as the real models' are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

TEXT_LENGTH = 7


def tiny_unet(**changes) -> UNet2DConditionModel:
    """Two stages, seven self-attention layers, latents 8x8 at native size."""
    torch.manual_seed(0)
    options = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 2,
        "cross_attention_dim": 12,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**options, **changes}).eval()


def tiny_vae(**changes) -> AutoencoderKL:
    """An autoencoder of stride 2."""
    torch.manual_seed(1)
    options = {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "block_out_channels": (8, 8),
        "latent_channels": 4,
        "norm_num_groups": 4,
    }
    return AutoencoderKL(**{**options, **changes}).eval()


def clip_encoder(kind: type, hidden: int, seed: int) -> tuple:
    """A CLIP text encoder of three layers and its tokenizer of four words."""
    torch.manual_seed(seed)
    config = CLIPTextConfig(
        vocab_size=4,
        hidden_size=hidden,
        intermediate_size=8,
        num_hidden_layers=3,
        num_attention_heads=1,
        max_position_embeddings=TEXT_LENGTH,
        projection_dim=5,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TEXT_LENGTH)
    return kind(config), tokenizer


def save_model(
    folder: Path,
    pipeline: str,
    parts: Mapping[str, object],
    encoders: Sequence[tuple | None] = (),
    null_text: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write a diffusers folder.

    Args:
        folder: to write.
        pipeline: name of the class that the folder is of.
        parts: of diffusers, by the name of their folder.
        encoders: of text, with their tokenizers, in the order of their numbers; None for one that
            is left out.
        null_text: stored instead of the encoders, if given.
    """
    index: dict[str, object] = {"_class_name": pipeline}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        index[name] = ("diffusers", type(part).__name__)
    if null_text is not None:
        save_file(dict(null_text), folder / "null_text.safetensors")
        encoders = ()
    for number, pair in enumerate(encoders, start=1):
        suffix = "" if number == 1 else f"_{number}"
        for kind, part in zip(("text_encoder", "tokenizer"), pair or (None, None), strict=True):
            index[kind + suffix] = (None, None)
            if part is not None:
                part.save_pretrained(folder / (kind + suffix))
                index[kind + suffix] = ("transformers", type(part).__name__)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def random_text(tokens: int | None, **widths: int) -> dict[str, torch.Tensor] | None:
    """Embeddings of a prompt and what is pooled of it; None if there is no number of tokens."""
    if tokens is None:
        return None
    generator = torch.Generator().manual_seed(9)
    return {
        name: torch.randn(
            (1, tokens, width) if name == "prompt_embeds" else (1, width), generator=generator
        )
        for name, width in widths.items()
    }


def save_sd15(folder: Path, text_tokens: int | None = None) -> Path:
    """Stable Diffusion 1.5's layout: one text encoder, a DDPM schedule behind a sampler.

    Args:
        folder: to write.
        text_tokens: store random embeddings of so many tokens instead of a text encoder.
    """
    parts = {
        "unet": tiny_unet(),
        "vae": tiny_vae(),
        "scheduler": _ddim_schedule(),
    }
    return save_model(
        folder,
        "StableDiffusionPipeline",
        parts,
        [clip_encoder(CLIPTextModel, 12, seed=2)],
        random_text(text_tokens, prompt_embeds=12),
    )


def save_sd21(folder: Path, text_tokens: int | None = None) -> Path:
    """Stable Diffusion 2.1's layout: predicts velocity, linear projections."""
    parts = {
        "unet": tiny_unet(use_linear_projection=True),
        "vae": tiny_vae(),
        "scheduler": _ddim_schedule(prediction_type="v_prediction"),
    }
    return save_model(
        folder,
        "StableDiffusionPipeline",
        parts,
        [clip_encoder(CLIPTextModel, 12, seed=2)],
        random_text(text_tokens, prompt_embeds=12),
    )


def _ddim_schedule(**changes) -> DDIMScheduler:
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        steps_offset=1,
        clip_sample=False,
        set_alpha_to_one=False,
        **changes,
    )


def save_sdxl(folder: Path, text_tokens: int | None = None) -> Path:
    """SDXL's layout: two text encoders, pooled text and size conditions, an Euler sampler."""
    unet = tiny_unet(
        cross_attention_dim=12 + 8,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=5 + 6 * 4,
    )
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear")
    return save_model(
        folder,
        "StableDiffusionXLPipeline",
        {"unet": unet, "vae": tiny_vae(), "scheduler": scheduler},
        [
            clip_encoder(CLIPTextModel, 12, seed=3),
            clip_encoder(CLIPTextModelWithProjection, 8, seed=4),
        ],
        random_text(text_tokens, prompt_embeds=12 + 8, text_embeds=5),
    )


def save_flow(folder: Path, vae: bool = True) -> Path:
    """The shipped model's layout: flow matching, stored null text, no text encoder."""
    parts = {
        "unet": tiny_unet(in_channels=4 if vae else 3),
        "scheduler": FlowMatchEulerDiscreteScheduler(),
    }
    if vae:
        parts["vae"] = tiny_vae(shift_factor=0.3, scaling_factor=0.7)
    null_text = {"prompt_embeds": torch.zeros(1, 1, 12)}
    return save_model(folder, "StableDiffusionPipeline", parts, null_text=null_text)
