"""COCO, LVIS, Objects365, HRSID and iSAID: datasets that come as COCO annotation files."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from trace_mm.datasets.converters.annotation_file import annotation_file, instance_record
from trace_mm.files import annotated_size
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, CocoImage, by_rising_id
from trace_mm.runs.progress import watched

_LVIS_KEYS = ("not_exhaustive_category_ids", "neg_category_ids")
_TRIANGLE = 6  # numbers of the least polygon


def convert_coco(path: str | Path, progress: bool = True) -> dict[str, Any]:
    """COCO 2014 or 2017, ``instances_*.json``. Polygons and crowds stay as they are.

    Args:
        path: the annotation file.
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file; see :func:`annotation_file`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not as it should be, or holds no instance; names the file, the record
            and the field.
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


def convert_hrsid(path: str | Path, progress: bool = True) -> dict[str, Any]:
    """HRSID, ``train2017.json`` or ``test2017.json``: ships in radar images.

    Args, Returns and Raises as for :func:`convert_coco`. Polygons of fewer than three corners are
    left out and counted.
    """
    return _convert("HRSID", path, _coco_image, False, progress, leave_flat=True)


def convert_isaid(path: str | Path, progress: bool = True) -> dict[str, Any]:
    """Patches of iSAID, ``instancesonly_filtered_{train,val}.json`` as its devkit writes them.

    Args, Returns and Raises as for :func:`convert_coco`. Polygons of fewer than three corners,
    which cutting an object at a patch's rim leaves, are left out and counted.
    """
    return _convert("iSAID", path, _coco_image, False, progress, leave_flat=True)


def _convert(
    dataset: str,
    path: str | Path,
    read_image: Callable[[CocoImage], dict[str, Any]],
    boxes_only: bool,
    progress: bool,
    max_images: int | None = None,
    leave_flat: bool = False,
) -> dict[str, Any]:
    file = CocoFile.read(path).require("images").require_annotations()
    images = {key: read_image(image) for key, image in file.images().items()}
    if not images:
        raise ValueError(f"{path}: there is no image")
    kept = set(list(by_rising_id(images))[:max_images])
    names = {key: category.name for key, category in file.categories().items()}
    listed = bool(names)
    annotations: list[dict[str, Any]] = []
    left_out = 0
    located = file.by_image(images)
    for key, image in images.items():  # which swap their sides in some files
        stated = image["height"], image["width"]
        size = annotated_size([one.content for one in located[key]], stated)
        image["height"], image["width"] = size
    found = [one for group in located.values() for one in group]
    found.sort(key=lambda one: one.position or 0)  # as in the file
    for source in watched(found, show=progress, label=dataset, unit="annotation"):
        category, image = source.category(), images[source.image]
        if listed and category not in names:
            raise source.bad(f"category_id: category {category} is not listed")
        names.setdefault(category, f"class {category}")
        if leave_flat and _is_flat(source):
            left_out += 1
            continue
        size = image["height"], image["width"]
        record = instance_record(source, size, file.is_crowd(source), boxes_only)
        if source.image not in kept:
            continue
        if boxes_only and min(record["bbox"][2:]) <= 0:
            left_out += 1
            continue
        annotations.append({**record, "category_id": category})
    return annotation_file(
        dataset,
        [image for key, image in images.items() if key in kept],
        annotations,
        [{"id": number, "name": name} for number, name in names.items()],
        boxes_only,
        left_out,
        file.crowd_note,
        path,
    )


def _is_flat(annotation: CocoAnnotation) -> bool:
    """Whether it has polygons, but none that encloses anything."""
    polygons = annotation.segmentation
    return isinstance(polygons, list) and all(
        isinstance(polygon, list) and len(polygon) < _TRIANGLE for polygon in polygons
    )


def _coco_image(image: CocoImage) -> dict[str, Any]:
    height, width = image.size
    return {"id": image.id, "height": height, "width": width, "file_name": image.name}


def _lvis_image(image: CocoImage) -> dict[str, Any]:
    parts = PurePosixPath(urlsplit(str(image.content.get("coco_url") or "")).path).parts
    if len(parts) < 2:
        raise image.bad("there is no coco_url, which LVIS v1 has")
    height, width = image.size
    kept = {key: image.content[key] for key in _LVIS_KEYS if key in image.content}
    name = "/".join(parts[-2:])
    return {"id": image.id, "height": height, "width": width, "file_name": name, **kept}
