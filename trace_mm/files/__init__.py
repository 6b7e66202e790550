"""What reads and writes files and knows nothing of models: images, folders, whole writes, locks."""

from trace_mm.files.atomic import TEMPORARY_SUFFIX, write_atomically
from trace_mm.files.folders import IMAGE_SUFFIXES, is_image_file, walk_images
from trace_mm.files.images import decode_image, load_image, read_file
from trace_mm.files.locking import locked, try_claim

__all__ = [
    "IMAGE_SUFFIXES",
    "TEMPORARY_SUFFIX",
    "decode_image",
    "is_image_file",
    "load_image",
    "locked",
    "read_file",
    "try_claim",
    "walk_images",
    "write_atomically",
]
