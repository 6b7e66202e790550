"""Models with random weights for the benchmark on a GPU: at their true size, or shrunken."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from published_configs import ARCHITECTURES, Architecture
from safetensors.torch import save_file

from gpu_parts.part import Setting
from trace_mm.diffusion import DiffusionBackbone
from trace_mm.models import TraceStudent, TraceTeacher

_UNET = {"layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 2}
_TINY: Mapping[str, dict[str, Any]] = {
    "sd15": {
        **_UNET,
        "block_out_channels": (16, 32, 32, 32),
        "sample_size": 16,
        "cross_attention_dim": 12,
    },
    "sdxl": {
        **_UNET,
        "block_out_channels": (16, 32, 32),
        "transformer_layers_per_block": 1,
        "sample_size": 16,
        "cross_attention_dim": 20,
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 5 + 6 * 4,
    },
    "pixart-alpha": {
        "num_layers": 2,
        "num_attention_heads": 4,
        "attention_head_dim": 6,
        "cross_attention_dim": 24,
        "caption_channels": 12,
        "sample_size": 16,
        "use_additional_conditions": True,
    },
    "sd35-large": {
        "sample_size": 16,
        "num_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 24,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 10,
        "pos_embed_max_size": 32,
    },
    "flux-dev": {
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 16,
        "pooled_projection_dim": 12,
        "axes_dims_rope": (2, 2, 4),
    },
}
_TINY_VAE = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
_TINY_SIZE = 64
_PIPELINES = {"sd15": "StableDiffusionPipeline", "sd35-large": "StableDiffusion3Pipeline"}


def architecture(name: str, tiny: bool) -> Architecture:
    """A published architecture, or the same kind of model with few and narrow layers."""
    found = ARCHITECTURES[name]
    if not tiny:
        return found
    config, vae = {**found.config, **_TINY[name]}, {**found.vae, **_TINY_VAE}
    return replace(found, config=config, vae=vae, text_tokens=7)


def build_backbone(name: str, setting: Setting) -> DiffusionBackbone:
    """With random weights in bfloat16 on the device; the autoencoder is in float32."""
    torch.manual_seed(0)
    with torch.device(setting.device):
        return architecture(name, setting.tiny).build_backbone(torch.bfloat16)


def native_size(backbone: DiffusionBackbone, setting: Setting) -> int:
    """Side in pixels at which the model is shown images."""
    return _TINY_SIZE if setting.tiny else backbone.native_size


def build_teacher(backbone: DiffusionBackbone, size: int, **options: Any) -> TraceTeacher:
    """The teacher as the paper has it, on a backbone that is loaded."""
    return TraceTeacher((backbone, {}), size=size, **options)


def build_student(backbone: DiffusionBackbone, size: int, **options: Any) -> TraceStudent:
    """The paper's student on a backbone that is loaded, on its device; untrained."""
    rows, columns = (size // backbone.token,) * 2
    with mock.patch("trace_mm.models.student.load_recommended", lambda **_: (backbone, {})):
        student = TraceStudent(
            # The name goes into checkpoints, of which there will be none.
            {"pretrained": "trace-tiny"},
            {"type": "ConvDecoder", "tokens": rows * columns},
            size=size,
            **options,
        )
    return student.to(backbone.device)


def save_folder(name: str, setting: Setting, folder: Path) -> Path:
    """Write a diffusers folder with random weights and embeddings, to load it from."""
    backbone = build_backbone(name, setting)
    part = "unet" if name == "sd15" else "transformer"
    parts = {part: backbone.denoiser, "vae": backbone.vae, "scheduler": backbone.scheduler}
    index: dict[str, Any] = {"_class_name": _PIPELINES[name]}
    for kind, one in parts.items():
        one.save_pretrained(folder / kind)
        index[kind] = ("diffusers", type(one).__name__)
    text = {key: value.float().cpu().contiguous() for key, value in backbone.null_text.items()}
    save_file(text, folder / "null_text.safetensors")
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder
