"""Diffusers folders with tiny random weights, laid out as the real models' are."""

import json
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


def _save_text_encoder(folder: Path, number: str, kind: type, hidden: int, seed: int) -> None:
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
    kind(config).save_pretrained(folder / f"text_encoder{number}")
    words = folder / f"tokenizer{number}"
    words.mkdir(parents=True)
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(
        str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=TEXT_LENGTH
    ).save_pretrained(words)


def _write_index(folder: Path, **components: tuple[str, str]) -> None:
    index = {"_class_name": "StableDiffusionPipeline", **components}
    (folder / "model_index.json").write_text(json.dumps(index))


def save_sd15(folder: Path) -> Path:
    """Stable Diffusion 1.5's layout: one text encoder, a DDPM schedule behind a sampler."""
    tiny_unet().save_pretrained(folder / "unet")
    tiny_vae().save_pretrained(folder / "vae")
    DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
    ).save_pretrained(folder / "scheduler")
    _save_text_encoder(folder, "", CLIPTextModel, 12, seed=2)
    _write_index(
        folder,
        unet=("diffusers", "UNet2DConditionModel"),
        vae=("diffusers", "AutoencoderKL"),
        scheduler=("diffusers", "DDIMScheduler"),
        text_encoder=("transformers", "CLIPTextModel"),
        tokenizer=("transformers", "CLIPTokenizer"),
    )
    return folder


def save_sdxl(folder: Path) -> Path:
    """SDXL's layout: two text encoders, pooled text and size conditions, an Euler sampler."""
    unet = tiny_unet(
        cross_attention_dim=12 + 8,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=5 + 6 * 4,
    )
    unet.save_pretrained(folder / "unet")
    tiny_vae().save_pretrained(folder / "vae")
    EulerDiscreteScheduler(beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    _save_text_encoder(folder, "", CLIPTextModel, 12, seed=3)
    _save_text_encoder(folder, "_2", CLIPTextModelWithProjection, 8, seed=4)
    _write_index(
        folder,
        unet=("diffusers", "UNet2DConditionModel"),
        vae=("diffusers", "AutoencoderKL"),
        scheduler=("diffusers", "EulerDiscreteScheduler"),
        text_encoder=("transformers", "CLIPTextModel"),
        text_encoder_2=("transformers", "CLIPTextModelWithProjection"),
        tokenizer=("transformers", "CLIPTokenizer"),
        tokenizer_2=("transformers", "CLIPTokenizer"),
    )
    return folder


def save_flow(folder: Path, vae: bool = True) -> Path:
    """The shipped model's layout: flow matching, stored null text, no text encoder."""
    tiny_unet(in_channels=4 if vae else 3).save_pretrained(folder / "unet")
    components = {"unet": ("diffusers", "UNet2DConditionModel")}
    if vae:
        tiny_vae(shift_factor=0.3, scaling_factor=0.7).save_pretrained(folder / "vae")
        components["vae"] = ("diffusers", "AutoencoderKL")
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    components["scheduler"] = ("diffusers", "FlowMatchEulerDiscreteScheduler")
    _write_index(folder, **components)
    save_file({"prompt_embeds": torch.zeros(1, 1, 12)}, folder / "null_text.safetensors")
    return folder
