"""PASCAL VOC 2012 as a COCO panoptic dataset: 20 things, and background as the only stuff."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.converters.voc import (
    VOC_CLASSES,
    VOC_FOLDERS,
    VOC_VOID,
    read_voc_list,
    read_voc_maps,
    voc_image,
)
from trace_mm.files import check_outputs, write_atomically
from trace_mm.files.panoptic import VOID, panoptic_png, segments_info
from trace_mm.runs.progress import watched

BACKGROUND_ID = len(VOC_CLASSES) + 1
"""Category id of the background; things come first, from 1."""


def convert_voc2012_panoptic(
    data_root: str | Path, split: str, out: str | Path, progress: bool = True
) -> dict[str, Any]:
    """Write ``panoptic.json`` and ``panoptic/<stem>.png``, the ground truth of panoptic VOC.

    Each object of ``SegmentationObject`` is a segment, whose class is the one that most of its
    pixels have in ``SegmentationClass``. Pixels that are 0 in both are background. The others,
    which are 255 in the first or belong to no object, are void. VOC marks no crowds. Ids of images
    are those of ``convert_voc2012``.

    Args:
        data_root: ``VOCdevkit/VOC2012``.
        split: name of a list in ``ImageSets/Segmentation``, such as "val", or "train_aug" if there
            are maps of objects for it.
        out: folder to write to. It is made, and files of the same name are replaced.
        progress: show a progress bar.

    Returns:
        The content of ``panoptic.json``.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not as it should be, or would be written onto; names it and the
            object.
    """
    root, out = Path(data_root), Path(out)
    check_outputs(
        files=[out / "panoptic.json"],
        folders=[out / "panoptic"],
        read=[root / name for name in VOC_FOLDERS],
    )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for stem in watched(read_voc_list(root, split), show=progress, label="VOC 2012"):
        ids, categories = _segments(*read_voc_maps(root, stem))
        write_atomically(out / "panoptic" / f"{stem}.png", panoptic_png(ids))
        image = voc_image(stem, ids.shape)
        images.append(image)
        annotations.append(
            {
                "image_id": image["id"],
                "file_name": f"{stem}.png",
                "segments_info": segments_info(ids, categories),
            }
        )
    content = {
        "info": {"description": f"VOC 2012 {split}, panoptic"},
        "images": images,
        "annotations": annotations,
        "categories": [
            *({"id": key, "name": name, "isthing": 1} for key, name in enumerate(VOC_CLASSES, 1)),
            {"id": BACKGROUND_ID, "name": "background", "isthing": 0},
        ],
    }
    write_atomically(out / "panoptic.json", json.dumps(content).encode("ascii"))
    return content


def _segments(
    objects: NDArray[np.int32], classes: NDArray[np.int32], found: dict[int, int]
) -> tuple[NDArray[np.int32], dict[int, int]]:
    """Segment ids (H, W) and the category of each: objects keep their value."""
    background = max(found, default=0) + 1
    ids = np.where(objects == VOC_VOID, VOID, objects)  # (H, W)
    ids[(objects == 0) & (classes == 0)] = background
    return ids.astype(np.int32), {**found, background: BACKGROUND_ID}
