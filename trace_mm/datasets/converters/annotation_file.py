"""The file that all converters write: COCO instances of one category.

Beside COCO's own keys, each annotation holds ``original_category_id``, and the file
``original_categories``. ``info.boxes_only`` says that the source has no masks: each segmentation is
then the rectangle of its box.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from trace_mm.files.coco_file import CocoAnnotation
from trace_mm.files.json_file import write_json

CATEGORY = {"id": 1, "name": "object"}


def annotation_file(
    dataset: str,
    images: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]],
    categories: Iterable[dict[str, Any]],
    boxes_only: bool = False,
    left_out: int = 0,
    note: str | None = None,
    origin: str | Path | None = None,
) -> dict[str, Any]:
    """Content of a class-agnostic annotation file.

    Args:
        dataset: its name.
        images: COCO images.
        annotations: COCO annotations, with the source's ``category_id``. Unless each has an ``id``
            of its own, a whole number from 1, they are numbered.
        categories: of the source, with ``id`` and ``name``.
        boxes_only: whether the source has no masks.
        left_out: number of annotations that could not be used.
        note: what else was decided; None if nothing.
        origin: the file that was read, for messages; None is the dataset.

    Returns:
        ``info``, ``images``, ``annotations``, ``categories`` and ``original_categories``.

    Raises:
        ValueError: if no annotation is an instance.
    """
    if all(annotation["iscrowd"] for annotation in annotations):
        raise ValueError(
            f"{origin or dataset}: there is no instance in it: of its annotations "
            f"{len(annotations)} are crowds (iscrowd 1), and {left_out} boxes have no extent"
        )
    ids = [annotation.get("id") for annotation in annotations]
    sound = all(type(number) is int and number > 0 for number in ids) and len({*ids}) == len(ids)
    records = []
    for number, annotation in enumerate(annotations, start=1):
        record = {"id": number, **annotation} if sound else {**annotation, "id": number}
        original = annotation["category_id"]
        records.append({**record, "original_category_id": original, "category_id": CATEGORY["id"]})
    return {
        "info": {
            "description": f"{dataset}, class-agnostic",
            "boxes_only": boxes_only,
            "left_out": left_out,
            **({} if note is None else {"note": note}),
        },
        "images": list(images),
        "annotations": records,
        "categories": [CATEGORY],
        "original_categories": [{"id": item["id"], "name": item["name"]} for item in categories],
    }


def write_annotation_file(content: dict[str, Any], path: str | Path) -> None:
    """Write an annotation file, whole or not at all. Folders are made."""
    write_json(path, content)


def describe(content: dict[str, Any]) -> str:
    """What an annotation file holds, in a line, and what is to be known of it, in further ones."""
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
    left_out = content["info"]["left_out"]
    if left_out:
        parts.append(f"{left_out} without extent left out")
    lines = [", ".join(parts)]
    if 2 * (crowds + left_out) > len(content["annotations"]) + left_out:
        lines.append("note: most annotations are no instances: is iscrowd meant as it is?")
    if content["info"].get("note"):
        lines.append(f"note: {content['info']['note']}")
    return "\n".join(lines)


def instance_record(
    annotation: CocoAnnotation, size: tuple[int, int], crowd: bool = False, boxes_only: bool = False
) -> dict[str, Any]:
    """What the file says of an annotation of a COCO file, but for its class.

    Args:
        annotation: its polygons or RLE are kept as they are.
        size: (H, W) of its image, which the RLE must be for.
        crowd: whether it is one.
        boxes_only: take the rectangle of its box instead of its segmentation.

    Returns:
        ``image_id``, ``segmentation``, ``bbox``, ``area``, ``iscrowd``, and ``id`` if it has one. A
        box or an area that the source does not state is measured on the mask.

    Raises:
        ValueError: if a field is not as it should be; names the record.
    """
    box = annotation.box
    if boxes_only:
        if box is None:
            raise annotation.bad("there is no bbox")
        segmentation, measured = rectangle(box), box[2] * box[3]
    else:
        rle = annotation.rle(size)  # also checks it
        segmentation, measured = annotation.segmentation, float(mask_utils.area(rle))
        box = tuple(mask_utils.toBbox(rle).tolist()) if box is None else box
    known = {"id": annotation.content["id"]} if "id" in annotation.content else {}
    return {
        **known,
        "image_id": annotation.image,
        "segmentation": segmentation,
        "bbox": list(box),
        "area": measured if annotation.area is None else annotation.area,
        "iscrowd": int(crowd),
    }


def rectangle(box: Sequence[float]) -> list[list[float]]:
    """A box [x, y, width, height] as a polygon."""
    left, top, width, height = box
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]
