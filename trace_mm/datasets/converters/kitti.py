"""KITTI: instance masks of 200 training images, and boxes of 7,481."""

from pathlib import Path
from typing import Any

import numpy as np

from trace_mm.datasets.converters.annotation_file import annotation_file, rectangle
from trace_mm.datasets.converters.image_sizes import image_size
from trace_mm.files.coco import instance_annotation
from trace_mm.files.id_maps import DIVISORS, numbering, read_id_map
from trace_mm.runs.progress import watched

# Cityscapes' ids of the classes that have instances.
_THINGS = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    29: "caravan",
    30: "trailer",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
_BOX_TYPES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
_IGNORED = "DontCare"
_FIELDS = 15  # of a line of a label file


def convert_kitti_instances(
    data_root: str | Path, progress: bool = True, divisor: int | None = None
) -> dict[str, Any]:
    """Masks of the instance segmentation benchmark.

    Pixels of ``instance/*.png`` are class * 256 + instance number, with the class ids of
    Cityscapes, or class * 1000 + number, as Cityscapes itself has them. Classes without instances
    are left out. Pixels of a class whose instances were not told apart become a crowd: number 0 of
    KITTI, and the class alone in Cityscapes.

    Args:
        data_root: ``training`` of KITTI's ``data_semantics``, with ``instance`` and ``image_2``.
        progress: show a progress bar.
        divisor: 256 or 1000; None for the one that the maps show.

    Returns:
        Content of a class-agnostic annotation file. Images are numbered from 1 by name.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if a file is not as it should be, names it; if the maps do not show how they
            number, or differ; or if no pixel is of a class with instances.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    paths = _files(Path(data_root) / "instance", ".png")
    chosen = _divisor(paths) if divisor is None else divisor
    if chosen not in DIVISORS:
        raise ValueError(f"the divisor must be one of {DIVISORS}, got {chosen}")
    for number, path in enumerate(watched(paths, show=progress, label="KITTI"), 1):
        images.append(_image(Path(data_root), path.stem, number))
        found = read_id_map(path)
        ids = found.ids  # (H, W)
        size = images[-1]["height"], images[-1]["width"]
        if ids.shape != size:
            raise ValueError(f"{path}: the map is {ids.shape} (H, W), the image {size}")
        if ids.max() < 256 and chosen == 256:
            raise ValueError(f"{path}: all values are below 256, this is not an instance map")
        for value in found.present():
            category, instance = divmod(value, chosen)
            crowd = instance == 0 if chosen == 256 else category == 0
            category = value if chosen != 256 and crowd else category
            if category in _THINGS:
                record = instance_annotation(ids == value, category)
                annotations.append({**record, "image_id": number, "iscrowd": int(crowd)})
    if not annotations:
        raise ValueError(
            f"{Path(data_root) / 'instance'}: no pixel is of a class with instances, if ids are "
            f"class * {chosen} + number; the classes are {min(_THINGS)} to {max(_THINGS)}"
        )
    categories = [{"id": key, "name": name} for key, name in _THINGS.items()]
    content = annotation_file("KITTI instances", images, annotations, categories)
    content["info"]["ids"] = f"class * {chosen} + number"
    return content


def _divisor(paths: list[Path]) -> int:
    """How the ids of instance maps number, from all of them.

    Raises:
        ValueError: if they do not show it, or differ.
    """
    found = {path: numbering([read_id_map(path).present()]) for path in paths}
    known = {path: divisor for path, divisor in found.items() if divisor is not None}
    if not known:
        raise ValueError(
            f"{paths[0]}: its ids and those of the other maps are neither class * 256 + number nor "
            "class * 1000 + number; this is no folder of instance maps"
        )
    first = next(iter(known))
    for path, divisor in known.items():
        if divisor != known[first]:
            raise ValueError(
                f"{path}: ids are class * {divisor} + number, but in {first} class * "
                f"{known[first]} + number: convert them apart"
            )
    return known[first]


def convert_kitti_boxes(data_root: str | Path, progress: bool = True) -> dict[str, Any]:
    """Boxes of the object detection benchmark; ``DontCare`` regions become crowds.

    Args:
        data_root: ``training`` of KITTI's object detection data, with ``label_2`` and ``image_2``.
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file that has boxes only. Images are numbered from 1
        by name. Boxes without extent are left out and counted.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if a file is not as it should be; names it and the line.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    left_out = 0
    names = (*_BOX_TYPES, _IGNORED)
    paths = _files(Path(data_root) / "label_2", ".txt")
    for number, path in enumerate(watched(paths, show=progress, label="KITTI"), 1):
        images.append(_image(Path(data_root), path.stem, number))
        for line_number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if not line.strip():
                continue
            try:
                name, box = _read_line(line)
            except ValueError as error:
                raise ValueError(f"{path}: line {line_number}: {error}") from error
            if min(box[2:]) <= 0:
                left_out += 1
                continue
            annotations.append(
                {
                    "image_id": number,
                    "category_id": names.index(name) + 1,
                    "segmentation": rectangle(box),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(name == _IGNORED),
                }
            )
    categories = [{"id": key, "name": name} for key, name in enumerate(names, start=1)]
    return annotation_file(
        "KITTI boxes", images, annotations, categories, boxes_only=True, left_out=left_out
    )


def _read_line(line: str) -> tuple[str, list[float]]:
    """Type and box [x, y, width, height] of an object."""
    fields = line.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"it has {len(fields)} fields, not {_FIELDS}")
    if fields[0] not in (*_BOX_TYPES, _IGNORED):
        raise ValueError(f"unknown type {fields[0]!r}")
    left, top, right, bottom = (float(value) for value in fields[4:8])
    if not np.isfinite([left, top, right, bottom]).all():
        raise ValueError("its box is not finite")
    return fields[0], [left, top, right - left, bottom - top]


def _files(folder: Path, suffix: str) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix == suffix)
    if not paths:
        raise FileNotFoundError(f"{folder}: no {suffix} file in this folder")
    return paths


def _image(data_root: Path, stem: str, number: int) -> dict[str, Any]:
    path = data_root / "image_2" / f"{stem}.png"
    width, height = image_size(path)
    return {"id": number, "file_name": path.name, "height": height, "width": width}
