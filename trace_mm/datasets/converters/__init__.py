"""Ground truth of public datasets as class-agnostic COCO files, or as COCO panoptic datasets."""

from trace_mm.datasets.converters.annotation_file import (
    annotation_file,
    describe,
    write_annotation_file,
)
from trace_mm.datasets.converters.coco import (
    convert_coco,
    convert_hrsid,
    convert_isaid,
    convert_lvis,
    convert_objects365,
)
from trace_mm.datasets.converters.coco2014_panoptic import convert_coco2014_panoptic
from trace_mm.datasets.converters.coco_object import convert_coco_object
from trace_mm.datasets.converters.coco_panoptic import convert_coco_panoptic, describe_panoptic
from trace_mm.datasets.converters.instances_panoptic import convert_instances_panoptic
from trace_mm.datasets.converters.kitti import convert_kitti_boxes, convert_kitti_instances
from trace_mm.datasets.converters.nuclei import (
    NUCLEI,
    convert_coin,
    convert_dsb2018,
    convert_monuseg,
    convert_tnbc,
)
from trace_mm.datasets.converters.sa1b import convert_sa1b
from trace_mm.datasets.converters.voc import convert_voc2012
from trace_mm.datasets.converters.voc_panoptic import convert_voc2012_panoptic
from trace_mm.datasets.converters.voc_train_aug import TRAIN_AUG_IMAGES, voc_train_aug

__all__ = [
    "NUCLEI",
    "TRAIN_AUG_IMAGES",
    "annotation_file",
    "convert_coco",
    "convert_coco2014_panoptic",
    "convert_coco_object",
    "convert_coco_panoptic",
    "convert_coin",
    "convert_dsb2018",
    "convert_hrsid",
    "convert_instances_panoptic",
    "convert_isaid",
    "convert_kitti_boxes",
    "convert_kitti_instances",
    "convert_lvis",
    "convert_monuseg",
    "convert_objects365",
    "convert_sa1b",
    "convert_tnbc",
    "convert_voc2012",
    "convert_voc2012_panoptic",
    "describe",
    "describe_panoptic",
    "voc_train_aug",
    "write_annotation_file",
]
