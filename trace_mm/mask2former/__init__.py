"""Mask2Former of MMDetection on panoptic labels.

A config loads it with ``custom_imports = dict(imports=["trace_mm.mask2former"])``; its modules are
then there as ``trace_mm.PanopticLabelDataset`` and so on.
"""

# ruff: noqa: E402 - the check comes first, for its one clear error
from trace_mm.mask2former.requirements import require_mmdet

require_mmdet()

from trace_mm.mask2former.dataset import PanopticLabelDataset
from trace_mm.mask2former.diffusion_pyramid import DiffusionPyramid
from trace_mm.mask2former.loading import LoadImageFromFile, LoadPanopticAnnotations

__all__ = [
    "DiffusionPyramid",
    "LoadImageFromFile",
    "LoadPanopticAnnotations",
    "PanopticLabelDataset",
    "require_mmdet",
]
