"""What knows timm and transformers' vision towers: patch features and attention of images."""

from trace_mm.vision.backbone import VisionBackbone
from trace_mm.vision.loading import TIMM_PREFIX, TRANSFORMERS_PREFIX, load_vision_backbone
from trace_mm.vision.vit import PatchFeatures, load_vit

__all__ = [
    "TIMM_PREFIX",
    "TRANSFORMERS_PREFIX",
    "PatchFeatures",
    "VisionBackbone",
    "load_vision_backbone",
    "load_vit",
]
