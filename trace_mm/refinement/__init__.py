"""Masks of other methods: read, refined by instance edges, and written."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.refinement.boundary_guided_propagation import (
        BoundaryGuidedPropagation,
        Refinement,
    )
    from trace_mm.refinement.image_index import ImageIndex
    from trace_mm.refinement.instances import InstanceMasks
    from trace_mm.refinement.mask_refiner import MaskRefiner
    from trace_mm.refinement.outlines import outline_scores
    from trace_mm.refinement.presets import PRESETS
    from trace_mm.refinement.readers import (
        MASK_FORMATS,
        BadMaskError,
        MaskReader,
        MaskRecord,
        MaskSource,
        MaskStack,
        mask_formats,
        open_masks,
    )
    from trace_mm.refinement.score_propagation import ScorePropagation
    from trace_mm.refinement.score_refiner import ScoreRefiner
    from trace_mm.refinement.scores import SCORES, scored

__all__ = [
    "MASK_FORMATS",
    "PRESETS",
    "SCORES",
    "BadMaskError",
    "BoundaryGuidedPropagation",
    "ImageIndex",
    "InstanceMasks",
    "MaskReader",
    "MaskRecord",
    "MaskRefiner",
    "MaskSource",
    "MaskStack",
    "Refinement",
    "ScorePropagation",
    "ScoreRefiner",
    "mask_formats",
    "open_masks",
    "outline_scores",
    "scored",
]

__getattr__ = lazy_exports(__name__)
