"""Small panoptic datasets of given segments, written as COCO writes them."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trace_mm.files.panoptic import panoptic_png, segments_info

CATEGORIES = [
    {"id": 1, "name": "cat", "isthing": 1},
    {"id": 2, "name": "dog", "isthing": 1},
    {"id": 7, "name": "grass", "isthing": 0},
]


def write_panoptic(
    folder: Path,
    maps: Mapping[str, tuple[np.ndarray, Mapping[int, int]]],
    crowds: Mapping[str, Collection[int]] | None = None,
    categories: Sequence[Mapping[str, Any]] = CATEGORIES,
    suffix: str = ".jpg",
) -> Path:
    """``folder/panoptic.json`` and ``folder/panoptic/<stem>.png``; image ids count from 10.

    Args:
        folder: made if missing.
        maps: segment ids (H, W) and their categories by the image's stem.
        crowds: ids of the segments that are crowds, by stem.
        categories: of the file.
        suffix: of the images' names.

    Returns:
        The JSON file.
    """
    (folder / "panoptic").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, (stem, (ids, labels)) in enumerate(maps.items(), start=10):
        height, width = ids.shape
        images.append(
            {"id": number, "file_name": f"{stem}{suffix}", "height": height, "width": width}
        )
        segments = segments_info(ids, labels, (crowds or {}).get(stem, ()))
        annotations.append(
            {"image_id": number, "file_name": f"{stem}.png", "segments_info": segments}
        )
        (folder / "panoptic" / f"{stem}.png").write_bytes(panoptic_png(ids))
    path = folder / "panoptic.json"
    content = {"images": images, "annotations": annotations, "categories": list(categories)}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
