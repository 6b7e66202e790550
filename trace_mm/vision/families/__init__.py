"""The kinds of vision towers whose attention can be read, one file each."""

from trace_mm.vision.families.base import (
    FAMILIES,
    TransformersFamily,
    VisionFamily,
    choose_layers,
    family_of,
    register_family,
)
from trace_mm.vision.families.clip import ClipVision
from trace_mm.vision.families.qwen2_5_vl import Qwen25Vision
from trace_mm.vision.families.timm_vit import TimmViT

__all__ = [
    "FAMILIES",
    "ClipVision",
    "Qwen25Vision",
    "TimmViT",
    "TransformersFamily",
    "VisionFamily",
    "choose_layers",
    "family_of",
    "register_family",
]
