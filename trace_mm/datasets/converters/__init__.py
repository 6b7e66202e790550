"""Ground truth of public datasets as class-agnostic COCO annotation files."""

from trace_mm.datasets.converters.annotation_file import (
    annotation_file,
    describe,
    write_annotation_file,
)
from trace_mm.datasets.converters.coco import convert_coco, convert_lvis, convert_objects365
from trace_mm.datasets.converters.kitti import convert_kitti_boxes, convert_kitti_instances
from trace_mm.datasets.converters.sa1b import convert_sa1b
from trace_mm.datasets.converters.voc import convert_voc2012

__all__ = [
    "annotation_file",
    "convert_coco",
    "convert_kitti_boxes",
    "convert_kitti_instances",
    "convert_lvis",
    "convert_objects365",
    "convert_sa1b",
    "convert_voc2012",
    "describe",
    "write_annotation_file",
]
