"""Readers of masks: one for each method or format that is in use."""

from trace_mm.refinement.readers.base import BadMaskError, MaskReader, MaskRecord, MaskStack
from trace_mm.refinement.readers.binary_png import BinaryPngReader
from trace_mm.refinement.readers.coco_json import (
    CocoReader,
    CutlerReader,
    MaskCutReader,
    ProMergeReader,
)
from trace_mm.refinement.readers.formats import MASK_FORMATS, mask_formats, open_masks
from trace_mm.refinement.readers.instance_maps import InstanceMapReader
from trace_mm.refinement.readers.irn import IrnReader
from trace_mm.refinement.readers.palette_png import CupsReader, DhrReader, VocReader
from trace_mm.refinement.readers.panoptic import U2SegReader
from trace_mm.refinement.readers.source import MaskSource
from trace_mm.refinement.readers.unsam import UnSamReader

__all__ = [
    "MASK_FORMATS",
    "BadMaskError",
    "BinaryPngReader",
    "CocoReader",
    "CupsReader",
    "CutlerReader",
    "DhrReader",
    "InstanceMapReader",
    "IrnReader",
    "MaskCutReader",
    "MaskReader",
    "MaskRecord",
    "MaskSource",
    "MaskStack",
    "ProMergeReader",
    "U2SegReader",
    "UnSamReader",
    "VocReader",
    "mask_formats",
    "open_masks",
]
