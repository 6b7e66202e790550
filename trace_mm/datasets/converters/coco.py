"""COCO 2014 and 2017, LVIS and Objects365: datasets that come as COCO annotation files."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from trace_mm.datasets.converters.annotation_file import (
    annotation_file,
    checked_box,
    checked_image,
    checked_segmentation,
    rectangle,
)
from trace_mm.datasets.edge_annotations import read_coco_json

_LVIS_KEYS = ("not_exhaustive_category_ids", "neg_category_ids")


def convert_coco(path: str | Path, progress: bool = True) -> dict[str, Any]:
    """COCO 2014 or 2017, ``instances_*.json``. Polygons and crowds stay as they are.

    Args:
        path: the annotation file.
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file; see :func:`annotation_file`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be; names the file and the image or annotation.
    """
    return _convert("COCO", path, _coco_image, boxes_only=False, progress=progress)


def convert_lvis(path: str | Path, progress: bool = True) -> dict[str, Any]:
    """LVIS v1, ``lvis_v1_*.json``.

    Its images are those of COCO 2017, the validation set has some of ``train2017``: file names
    become ``val2017/000000397133.jpg``, relative to COCO's folder. Not every class is annotated in
    every image. The lists that say so stay with the image, but a class-agnostic score cannot use
    them.

    Args, Returns and Raises as for :func:`convert_coco`.
    """
    return _convert("LVIS v1", path, _lvis_image, boxes_only=False, progress=progress)


def convert_objects365(
    path: str | Path, max_images: int | None = None, progress: bool = True
) -> dict[str, Any]:
    """Objects365 v2, ``zhiyuan_objv2_val.json``. It has boxes only.

    Args:
        path: the annotation file.
        max_images: keep the first images by id only; None keeps all.
        progress: show a progress bar.

    Returns and Raises as for :func:`convert_coco`. Boxes without extent are left out and counted.
    """
    return _convert(
        "Objects365", path, _coco_image, boxes_only=True, progress=progress, max_images=max_images
    )


def _convert(
    dataset: str,
    path: str | Path,
    read_image: Callable[[Any, str], dict[str, Any]],
    boxes_only: bool,
    progress: bool,
    max_images: int | None = None,
) -> dict[str, Any]:
    content = read_coco_json(path, ("images", "annotations", "categories"))
    images: dict[int, dict[str, Any]] = {}
    for source in content["images"]:
        image = read_image(source, str(path))
        if image["id"] in images:
            raise ValueError(f"{path}: two images have the id {image['id']}")
        images[image["id"]] = image
    kept = set(sorted(images)[:max_images])
    categories = {category["id"] for category in content["categories"]}
    annotations: dict[int, dict[str, Any]] = {}
    left_out = 0
    for source in tqdm(content["annotations"], dataset, unit="annotation", disable=not progress):
        label = source.get("id") if isinstance(source, dict) else source
        try:
            annotation = _annotation(source, images, categories, boxes_only)
        except ValueError as error:
            raise ValueError(f"{path}: annotation {label}: {error}") from error
        if annotation["id"] in annotations:
            raise ValueError(f"{path}: two annotations have the id {annotation['id']}")
        if annotation["image_id"] not in kept:
            continue
        if boxes_only and min(annotation["bbox"][2:]) <= 0:
            left_out += 1
            continue
        annotations[annotation["id"]] = annotation
    return annotation_file(
        dataset,
        [image for image_id, image in images.items() if image_id in kept],
        list(annotations.values()),
        content["categories"],
        boxes_only,
        left_out,
    )


def _coco_image(source: Any, label: str) -> dict[str, Any]:
    image = checked_image(source, label)
    name = source.get("file_name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"{label}: image {image['id']} has no file_name")
    return {**image, "file_name": name}


def _lvis_image(source: Any, label: str) -> dict[str, Any]:
    image = checked_image(source, label)
    parts = PurePosixPath(urlsplit(str(source.get("coco_url", ""))).path).parts
    if len(parts) < 2:
        raise ValueError(f"{label}: image {image['id']} has no coco_url, which LVIS v1 has")
    kept = {key: source[key] for key in _LVIS_KEYS if key in source}
    return {**image, "file_name": "/".join(parts[-2:]), **kept}


def _annotation(
    source: Any, images: dict[int, dict[str, Any]], categories: set[int], boxes_only: bool
) -> dict[str, Any]:
    if not isinstance(source, dict):
        raise ValueError("not an object")
    number, image_id = source.get("id"), source.get("image_id")
    if not isinstance(number, int) or number < 1:
        raise ValueError("its id is not a whole number from 1")
    if not isinstance(image_id, int) or image_id not in images:
        raise ValueError(f"its image {image_id!r} is not listed")
    if source.get("category_id") not in categories:
        raise ValueError(f"its category {source.get('category_id')!r} is not listed")
    box, image = checked_box(source.get("bbox")), images[image_id]
    if boxes_only:
        segmentation: Any = rectangle(box)
    else:
        size = image["height"], image["width"]
        segmentation = checked_segmentation(source.get("segmentation"), size)
    area = source.get("area")
    return {
        "id": number,
        "image_id": image_id,
        "category_id": source["category_id"],
        "segmentation": segmentation,
        "bbox": box,
        "area": area if isinstance(area, (int, float)) else box[2] * box[3],
        "iscrowd": int(bool(source.get("iscrowd", 0))),
    }
