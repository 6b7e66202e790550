"""KITTI: instance masks of 200 training images, and boxes of 7,481."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from trace_mm.datasets.converters.annotation_file import annotation_file, rectangle
from trace_mm.datasets.ground_truth import read_id_map
from trace_mm.files.coco import instance_annotation

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


def convert_kitti_instances(data_root: str | Path, progress: bool = True) -> dict[str, Any]:
    """Masks of the instance segmentation benchmark.

    Pixels of ``instance/*.png`` are class * 256 + instance number, with the class ids of
    Cityscapes. Classes without instances are left out. Number 0 marks pixels of a class whose
    instances were not told apart; they become a crowd.

    Args:
        data_root: ``training`` of KITTI's ``data_semantics``, with ``instance`` and ``image_2``.
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file. Images are numbered from 1 by name.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if a file is not as it should be; names it.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    paths = _files(Path(data_root) / "instance", ".png")
    for number, path in enumerate(tqdm(paths, "KITTI", unit="image", disable=not progress), 1):
        images.append(_image(Path(data_root), path.stem, number))
        ids = read_id_map(path)  # (H, W)
        size = images[-1]["height"], images[-1]["width"]
        if ids.shape != size:
            raise ValueError(f"{path}: the map is {ids.shape} (H, W), the image {size}")
        if ids.max() < 256:
            raise ValueError(f"{path}: all values are below 256, this is not an instance map")
        for value in np.unique(ids).tolist():
            category, instance = divmod(value, 256)
            if category in _THINGS:
                record = instance_annotation(ids == value, category)
                annotations.append({**record, "image_id": number, "iscrowd": int(instance == 0)})
    categories = [{"id": key, "name": name} for key, name in _THINGS.items()]
    return annotation_file("KITTI instances", images, annotations, categories)


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
    for number, path in enumerate(tqdm(paths, "KITTI", unit="image", disable=not progress), 1):
        images.append(_image(Path(data_root), path.stem, number))
        for line_number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
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


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file, from its header.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable image: {error}") from error
