"""What knows diffusers: loading, noising, the empty prompt, attention capture."""

from trace_mm.diffusion.attention import AttentionTap, self_attention_map
from trace_mm.diffusion.backbone import DiffusionBackbone
from trace_mm.diffusion.families import (
    AttentionLayer,
    attention_layers,
    family_of,
    select_layers,
)
from trace_mm.diffusion.fingerprint import STUDENT_FOLDER, weights_fingerprint
from trace_mm.diffusion.identity import denoiser_identity, identity_difference
from trace_mm.diffusion.loading import (
    backbone_settings,
    load_backbone,
    load_recommended,
    resolve_pretrained,
    shipped_models,
)
from trace_mm.diffusion.noise import content_seed, seeded_noise

__all__ = [
    "STUDENT_FOLDER",
    "AttentionLayer",
    "AttentionTap",
    "DiffusionBackbone",
    "attention_layers",
    "backbone_settings",
    "content_seed",
    "denoiser_identity",
    "family_of",
    "identity_difference",
    "load_backbone",
    "load_recommended",
    "resolve_pretrained",
    "seeded_noise",
    "select_layers",
    "self_attention_map",
    "shipped_models",
    "weights_fingerprint",
]
