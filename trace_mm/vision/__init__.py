"""What knows timm and transformers' vision towers: patch features and attention of images."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.catalogue import TIMM_PREFIX, TRANSFORMERS_PREFIX
    from trace_mm.vision.backbone import VisionBackbone
    from trace_mm.vision.language import LanguageBackbone
    from trace_mm.vision.loading import load_vision_backbone
    from trace_mm.vision.vit import PatchFeatures, load_vit

__all__ = [
    "TIMM_PREFIX",
    "TRANSFORMERS_PREFIX",
    "LanguageBackbone",
    "PatchFeatures",
    "VisionBackbone",
    "load_vision_backbone",
    "load_vit",
]

__getattr__ = lazy_exports(__name__)
