"""Readers of masks: one for each method or format that is in use."""

from trace_mm.refine.readers.base import BadMaskError, MaskReader, MaskRecord, MaskStack
from trace_mm.refine.readers.binary_png import BinaryPngReader
from trace_mm.refine.readers.coco_json import (
    CocoReader,
    CutlerReader,
    MaskCutReader,
    ProMergeReader,
)
from trace_mm.refine.readers.formats import MASK_FORMATS, mask_formats, open_masks
from trace_mm.refine.readers.irn import IrnReader
from trace_mm.refine.readers.palette_png import CupsReader, DhrReader, VocReader
from trace_mm.refine.readers.panoptic import U2SegReader
from trace_mm.refine.readers.source import MaskSource
from trace_mm.refine.readers.unsam import UnSamReader

__all__ = [
    "MASK_FORMATS",
    "BadMaskError",
    "BinaryPngReader",
    "CocoReader",
    "CupsReader",
    "CutlerReader",
    "DhrReader",
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
