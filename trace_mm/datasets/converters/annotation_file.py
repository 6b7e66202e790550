"""The file that all converters write: COCO instances of one category.

Beside COCO's own keys, each annotation holds ``original_category_id``, and the file
``original_categories``. ``info.boxes_only`` says that the source has no masks: each segmentation is
then the rectangle of its box.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trace_mm.files import write_atomically
from trace_mm.files.coco import run_lengths

CATEGORY = {"id": 1, "name": "object"}


def annotation_file(
    dataset: str,
    images: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]],
    categories: Iterable[dict[str, Any]],
    boxes_only: bool = False,
    left_out: int = 0,
) -> dict[str, Any]:
    """Content of a class-agnostic annotation file.

    Args:
        dataset: its name.
        images: COCO images.
        annotations: COCO annotations, with the source's ``category_id``. An ``id`` is added where
            the source has none.
        categories: of the source, with ``id`` and ``name``.
        boxes_only: whether the source has no masks.
        left_out: number of annotations that could not be used.

    Returns:
        ``info``, ``images``, ``annotations``, ``categories`` and ``original_categories``.
    """
    records = []
    for number, annotation in enumerate(annotations, start=1):
        original = annotation["category_id"]
        record = {"id": number, **annotation, "original_category_id": original}
        records.append({**record, "category_id": CATEGORY["id"]})
    return {
        "info": {
            "description": f"{dataset}, class-agnostic",
            "boxes_only": boxes_only,
            "left_out": left_out,
        },
        "images": list(images),
        "annotations": records,
        "categories": [CATEGORY],
        "original_categories": [{"id": item["id"], "name": item["name"]} for item in categories],
    }


def write_annotation_file(content: dict[str, Any], path: str | Path) -> None:
    """Write an annotation file, whole or not at all. Folders are made."""
    write_atomically(Path(path), json.dumps(content, separators=(",", ":")).encode("ascii"))


def describe(content: dict[str, Any]) -> str:
    """What an annotation file holds, in a line."""
    crowds = sum(bool(annotation["iscrowd"]) for annotation in content["annotations"])
    kind = "boxes" if content["info"]["boxes_only"] else "instances"
    parts = [
        f"{len(content['images'])} images",
        f"{len(content['annotations']) - crowds} {kind}",
        f"{crowds} crowds",
    ]
    difficult = sum(annotation.get("difficult", 0) for annotation in content["annotations"])
    if difficult:
        parts.append(f"{difficult} of them difficult")
    if content["info"]["left_out"]:
        parts.append(f"{content['info']['left_out']} without extent left out")
    return ", ".join(parts)


def checked_image(image: Any, label: str) -> dict[str, Any]:
    """Id, size and, where it has one, file name of a COCO image.

    Raises:
        ValueError: if the id or the size is not a whole number; starts with ``label``.
    """
    if not isinstance(image, dict):
        raise ValueError(f"{label}: an image is {image!r}, not an object")
    image_id, height, width = (image.get(key) for key in ("id", "height", "width"))
    if not isinstance(image_id, int):
        raise ValueError(f"{label}: an image has the id {image_id!r}, not a whole number")
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
        raise ValueError(f"{label}: image {image_id} is {height!r} x {width!r} pixels")
    return {"id": image_id, "height": height, "width": width}


def checked_box(box: Any) -> list[float]:
    """A box [x, y, width, height] as the source has it.

    Raises:
        ValueError: if it is not four finite numbers.
    """
    if (
        not isinstance(box, (list, tuple))
        or len(box) != 4
        or not all(isinstance(value, (int, float)) and math.isfinite(value) for value in box)
    ):
        raise ValueError(f"its box is {box!r}, not four numbers")
    return list(box)


def checked_segmentation(segmentation: Any, size: tuple[int, int]) -> Any:
    """A COCO segmentation as the source has it.

    Raises:
        ValueError: if it is neither polygons nor RLE, or an RLE that is damaged or for another size
            than (H, W).
    """
    if isinstance(segmentation, dict):
        _check_rle(segmentation, size)
        return segmentation
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("its segmentation is neither polygons nor RLE")
    for polygon in segmentation:
        if (
            not isinstance(polygon, list)
            or len(polygon) % 2
            or not all(isinstance(value, (int, float)) for value in polygon)
        ):
            raise ValueError(f"a polygon is not a list of x, y pairs: {str(polygon)[:60]}")
    return segmentation


def _check_rle(rle: dict[str, Any], size: tuple[int, int]) -> None:
    counts, own_size = rle.get("counts"), rle.get("size")
    if own_size != list(size):
        raise ValueError(f"its RLE is for {own_size} (H, W), the image is {list(size)}")
    if isinstance(counts, str):
        total = int(run_lengths(counts.encode()).sum())
    elif isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts):
        total = sum(counts)
    else:
        raise ValueError("its RLE has no counts")
    if total != size[0] * size[1]:
        raise ValueError(
            f"its RLE is damaged: it has {total} pixels, the image {size[0] * size[1]}"
        )


def rectangle(box: Sequence[float]) -> list[list[float]]:
    """A box [x, y, width, height] as a polygon."""
    left, top, width, height = box
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]
