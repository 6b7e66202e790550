"""Diffusers folders with tiny random transformers: PixArt, Stable Diffusion 3 and FLUX.1."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.tiny_models import clip_encoder, random_text, save_model, tiny_vae

HEADS = 4


def t5_encoder(width: int, longest: int = 512) -> tuple:
    """A T5 encoder of two layers and its tokenizer of two words."""
    torch.manual_seed(6)
    config = T5Config(
        vocab_size=5,
        d_model=width,
        d_kv=4,
        d_ff=8,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), ("▁a", -3.0), ("a", -4.0)]
    return T5EncoderModel(config), T5Tokenizer(words, extra_ids=0, model_max_length=longest)


def tiny_pixart(**changes) -> PixArtTransformer2DModel:
    """Three blocks; half of the output channels are a variance."""
    torch.manual_seed(0)
    options = {
        "num_attention_heads": HEADS,
        "attention_head_dim": 6,
        "cross_attention_dim": HEADS * 6,
        "caption_channels": 12,
        "num_layers": 3,
        "sample_size": 16,
    }
    return PixArtTransformer2DModel(**{**options, **changes}).eval()


def tiny_sd3(**changes) -> SD3Transformer2DModel:
    """Three blocks, the last of which has no way on for the text."""
    torch.manual_seed(0)
    options = {
        "sample_size": 16,
        "num_layers": 3,
        "attention_head_dim": 8,
        "num_attention_heads": HEADS,
        "joint_attention_dim": 24,
        "caption_projection_dim": HEADS * 8,
        "pooled_projection_dim": 5 + 5,
        "pos_embed_max_size": 32,
    }
    return SD3Transformer2DModel(**{**options, **changes}).eval()


def tiny_flux(**changes) -> FluxTransformer2DModel:
    """Two double and two single blocks."""
    torch.manual_seed(0)
    options = {
        "in_channels": 16 * 4,
        "num_layers": 2,
        "num_single_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": HEADS,
        "joint_attention_dim": 16,
        "pooled_projection_dim": 12,
        "axes_dims_rope": (2, 2, 4),
    }
    return FluxTransformer2DModel(**{**options, **changes}).eval()


def wide_vae(**changes) -> AutoencoderKL:
    """An autoencoder of 16 channels, as Stable Diffusion 3 and FLUX.1 have it."""
    options = {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
    return tiny_vae(**{**options, **changes})


def save_pixart_alpha(folder: Path, text_tokens: int | None = None) -> Path:
    """PixArt-alpha's layout at 1024 pixels: takes the image's size, names a class of old.

    Args:
        folder: to write.
        text_tokens: store random embeddings of so many tokens instead of a text encoder.
    """
    parts = {
        "transformer": tiny_pixart(sample_size=128),
        "vae": tiny_vae(),
        "scheduler": _pixart_schedule(),
    }
    text = random_text(text_tokens, prompt_embeds=12)
    save_model(folder, "PixArtAlphaPipeline", parts, [t5_encoder(12, longest=120)], text)
    old = "Transformer2DModel"
    config, index = folder / "transformer" / "config.json", folder / "model_index.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "_class_name": old}))
    entry = {"transformer": ("diffusers", old)}
    index.write_text(json.dumps({**json.loads(index.read_text()), **entry}))
    return folder


def save_pixart_sigma(folder: Path, text_tokens: int | None = None) -> Path:
    """PixArt-Sigma's layout."""
    parts = {
        "transformer": tiny_pixart(use_additional_conditions=False),
        "vae": tiny_vae(scaling_factor=0.13025),
        "scheduler": _pixart_schedule(),
    }
    text = random_text(text_tokens, prompt_embeds=12)
    return save_model(folder, "PixArtSigmaPipeline", parts, [t5_encoder(12, longest=300)], text)


def _pixart_schedule() -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=0.0001, beta_end=0.02)


def save_sd3(folder: Path, text_tokens: int | None = None, with_t5: bool = True, **changes) -> Path:
    """Stable Diffusion 3's layout: three text encoders, a shifted flow-matching schedule.

    Args:
        folder: to write.
        text_tokens: store random embeddings of so many tokens instead of text encoders.
        with_t5: else the third encoder is left out.
        changes: of the transformer's config.
    """
    parts = {
        "transformer": tiny_sd3(**changes),
        "vae": wide_vae(shift_factor=0.0609, scaling_factor=1.5305),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    encoders = [
        clip_encoder(CLIPTextModelWithProjection, 12, seed=3),
        clip_encoder(CLIPTextModelWithProjection, 8, seed=4),
        t5_encoder(24) if with_t5 else None,
    ]
    text = random_text(text_tokens, prompt_embeds=24, pooled_projections=5 + 5)
    return save_model(folder, "StableDiffusion3Pipeline", parts, encoders, text)


def save_sd35(folder: Path, text_tokens: int | None = None) -> Path:
    """Stable Diffusion 3.5 Medium's layout: normalised queries, a second layer in some blocks."""
    return save_sd3(folder, text_tokens, qk_norm="rms_norm", dual_attention_layers=(0, 1))


def save_flux_dev(folder: Path, text_tokens: int | None = None, guidance: bool = True) -> Path:
    """FLUX.1 dev's layout: takes a scale of guidance; a schedule whose shift depends on the size.

    Args:
        folder: to write.
        text_tokens: store random embeddings of so many tokens instead of text encoders.
        guidance: else it is schnell's.
    """
    parts = {
        "transformer": tiny_flux(guidance_embeds=guidance),
        "vae": wide_vae(shift_factor=0.1159, scaling_factor=0.3611),
        "scheduler": FlowMatchEulerDiscreteScheduler(
            shift=3.0 if guidance else 1.0, use_dynamic_shifting=guidance
        ),
    }
    encoders = [clip_encoder(CLIPTextModel, 12, seed=2), t5_encoder(16)]
    text = random_text(text_tokens, prompt_embeds=16, pooled_projections=12)
    return save_model(folder, "FluxPipeline", parts, encoders, text)


def save_flux_schnell(folder: Path, text_tokens: int | None = None) -> Path:
    """FLUX.1 schnell's layout: no guidance, a schedule that is not shifted."""
    return save_flux_dev(folder, text_tokens, guidance=False)
