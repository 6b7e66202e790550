"""What knows timm: vision transformers as extractors of patch features."""

from trace_mm.vision.vit import PatchFeatures, load_vit

__all__ = ["PatchFeatures", "load_vit"]
