"""Masks of objects without labels, out of patch features: MaskCut, TokenCut and ProMerge."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.generators.backbones import FeatureSource, feature_settings, is_diffusion
    from trace_mm.generators.maskcut import MaskCutSettings, maskcut
    from trace_mm.generators.methods import (
        METHODS,
        Generator,
        find_masks,
        make_generator,
        method_settings,
    )
    from trace_mm.generators.patch_masks import PatchMasks
    from trace_mm.generators.promerge import ProMergeSettings, promerge
    from trace_mm.generators.tokencut import TokenCutSettings, tokencut

__all__ = [
    "METHODS",
    "FeatureSource",
    "Generator",
    "MaskCutSettings",
    "PatchMasks",
    "ProMergeSettings",
    "TokenCutSettings",
    "feature_settings",
    "find_masks",
    "is_diffusion",
    "make_generator",
    "maskcut",
    "method_settings",
    "promerge",
    "tokencut",
]

__getattr__ = lazy_exports(__name__)
