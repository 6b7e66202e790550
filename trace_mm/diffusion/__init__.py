"""What knows diffusers: loading, noising, the empty prompt, the families of denoisers."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.diffusion.backbone import DiffusionBackbone
    from trace_mm.diffusion.families import (
        FAMILIES,
        Family,
        attention_layers,
        family_of,
        register_family,
    )
    from trace_mm.diffusion.fingerprint import STUDENT_FOLDER, weights_fingerprint
    from trace_mm.diffusion.identity import denoiser_identity, identity_difference
    from trace_mm.diffusion.loading import load_backbone, load_recommended
    from trace_mm.diffusion.noise import content_seed, seeded_noise
    from trace_mm.diffusion.pipelines import backbone_of_pipeline
    from trace_mm.diffusion.pretrained import (
        SETTINGS_FILE,
        backbone_settings,
        resolve_pretrained,
        shipped_models,
        shipped_students,
    )
    from trace_mm.diffusion.source import open_model

__all__ = [
    "FAMILIES",
    "SETTINGS_FILE",
    "STUDENT_FOLDER",
    "DiffusionBackbone",
    "Family",
    "attention_layers",
    "backbone_of_pipeline",
    "backbone_settings",
    "content_seed",
    "denoiser_identity",
    "family_of",
    "identity_difference",
    "load_backbone",
    "load_recommended",
    "open_model",
    "register_family",
    "resolve_pretrained",
    "seeded_noise",
    "shipped_models",
    "shipped_students",
    "weights_fingerprint",
]

__getattr__ = lazy_exports(__name__)
