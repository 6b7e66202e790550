"""What reads and writes files and knows no models: images, masks, folders, whole writes, locks."""

from trace_mm.files.atomic import (
    TEMPORARY_SUFFIX,
    remove_abandoned,
    remove_temporary_files,
    temporary_path,
    write_atomically,
    written_whole,
)
from trace_mm.files.coco import (
    decode_rle,
    decode_segmentation,
    encode_rle,
    instance_annotation,
    mask_box,
)
from trace_mm.files.coco_writer import write_coco
from trace_mm.files.folders import (
    IMAGE_SUFFIXES,
    OtherFiles,
    absolute_path,
    distinct_stems,
    is_image_file,
    walk_files,
    walk_images,
)
from trace_mm.files.images import decode_image, load_image, read_file
from trace_mm.files.locking import locked
from trace_mm.files.orientation import (
    Orientation,
    Photo,
    SizeEvidence,
    annotated_size,
    coco_evidence,
    map_sizes,
    read_photo,
    read_photo_of,
    same_shape,
)
from trace_mm.files.outputs import check_outputs

__all__ = [
    "IMAGE_SUFFIXES",
    "TEMPORARY_SUFFIX",
    "Orientation",
    "OtherFiles",
    "Photo",
    "SizeEvidence",
    "absolute_path",
    "annotated_size",
    "check_outputs",
    "coco_evidence",
    "decode_image",
    "decode_rle",
    "decode_segmentation",
    "distinct_stems",
    "encode_rle",
    "instance_annotation",
    "is_image_file",
    "load_image",
    "locked",
    "map_sizes",
    "mask_box",
    "read_file",
    "read_photo",
    "read_photo_of",
    "remove_abandoned",
    "remove_temporary_files",
    "same_shape",
    "temporary_path",
    "walk_files",
    "walk_images",
    "write_atomically",
    "write_coco",
    "written_whole",
]
