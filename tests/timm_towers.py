"""Tiny vision transformers as models of timm, by names that ``timm.create_model`` knows."""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import Eva, VisionTransformer, register_model

SHAPE = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 3, "num_heads": 2}


def _without_weights(options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the model's class, from what ``create_model`` hands over."""
    loading = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
    return {name: value for name, value in options.items() if name not in loading}


@register_model
def tiny_dinov2(**options: Any) -> VisionTransformer:
    """A class token, and scales in each layer."""
    return VisionTransformer(**SHAPE, init_values=1e-1, **_without_weights(options))


@register_model
def tiny_dinov2_reg4(**options: Any) -> VisionTransformer:
    """The same with four registers."""
    extra = {"init_values": 1e-1, "reg_tokens": 4, "no_embed_class": True}
    return VisionTransformer(**SHAPE, **extra, **_without_weights(options))


@register_model
def tiny_eva02(**options: Any) -> Eva:
    """Absolute and rotary positions, separate projections: EVA-02 up to L."""
    extra = {
        "qkv_fused": False,
        "swiglu_mlp": True,
        "use_rot_pos_emb": True,
        "ref_feat_shape": (4, 4),
    }
    return Eva(**SHAPE, **extra, **_without_weights(options))


@register_model
def tiny_eva02_e(**options: Any) -> Eva:
    """Absolute positions and normalisation after each layer: EVA02-E."""
    return Eva(**SHAPE, use_post_norm=True, global_pool="token", **_without_weights(options))


@register_model
def tiny_dinov3(**options: Any) -> Eva:
    """Rotary positions alone, a class token and four registers, as DINOv3."""
    extra = {
        "qkv_bias": False,
        "init_values": 1e-1,
        "use_abs_pos_emb": False,
        "use_rot_pos_emb": True,
        "rope_type": "dinov3",
        "rope_rotate_half": True,
        "num_reg_tokens": 4,
        "use_fc_norm": False,
    }
    return Eva(**SHAPE, **extra, **_without_weights(options))


def save_timm(name: str, folder: Path) -> Path:
    """A checkpoint of one of these models, with weights that let attention differ."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, dynamic_img_size=True)
    weights = {
        key: weight + torch.randn_like(weight) * 0.2 for key, weight in model.state_dict().items()
    }
    path = folder / f"{name}.pth"
    torch.save(weights, path)
    return path
