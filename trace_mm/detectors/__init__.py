"""Class-agnostic detectors of MMDetection on masks that nobody drew (paper, Table 1b).

A config loads it with ``custom_imports = dict(imports=["trace_mm.detectors"])``; its modules are
then there as ``trace_mm.InstanceLabelDataset`` and so on, with those of ``trace_mm.mask2former``.
"""

# ruff: noqa: E402 - the check comes first, for its one clear error
from trace_mm.mask2former.requirements import require_mmdet

require_mmdet()

from trace_mm.detectors.dataset import InstanceLabelDataset
from trace_mm.detectors.drop_loss import DropLossBBoxHead, DropLossSampler, drop_weights
from trace_mm.detectors.object_paste import ObjectPaste
from trace_mm.mask2former import DiffusionPyramid, LoadImageFromFile

__all__ = [
    "DiffusionPyramid",
    "DropLossBBoxHead",
    "DropLossSampler",
    "InstanceLabelDataset",
    "LoadImageFromFile",
    "ObjectPaste",
    "drop_weights",
]
