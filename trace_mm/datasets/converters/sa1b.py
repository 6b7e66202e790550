"""SA-1B: one JSON an image, beside it. Masks have no class."""

import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trace_mm.datasets.converters.annotation_file import (
    CATEGORY,
    annotation_file,
    checked_box,
    checked_image,
    checked_segmentation,
)


def convert_sa1b(
    folder: str | Path, max_images: int | None = None, progress: bool = True
) -> dict[str, Any]:
    """The JSON files of a folder and its subfolders as one annotation file.

    Args:
        folder: holds ``sa_<number>.json`` and ``sa_<number>.jpg``, as one of SA-1B's archives does.
        max_images: keep the first files by path only; None keeps all.
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file. File names are relative to ``folder``.

    Raises:
        FileNotFoundError: if there is no such folder, or no such file in it.
        ValueError: if a file is not as it should be; names the file and the annotation.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths = sorted(folder.rglob("sa_*.json"))[:max_images]
    if not paths:
        raise FileNotFoundError(f"{folder}: no sa_*.json in this folder")
    images: dict[int, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for path in tqdm(paths, "SA-1B", unit="image", disable=not progress):
        image, found = _read(path)
        if image["id"] in images:
            raise ValueError(f"{path}: image {image['id']} has a file already")
        image["file_name"] = str(path.with_name(image["file_name"]).relative_to(folder).as_posix())
        images[image["id"]] = image
        annotations += found
    return annotation_file("SA-1B", list(images.values()), annotations, [CATEGORY])


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Image and annotations of one file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        source, listed = content["image"], content["annotations"]
        image = checked_image({**source, "id": source["image_id"]}, str(path))
        image["file_name"] = source["file_name"]
        records = list(listed)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a file of SA-1B: {error!r}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    annotations = []
    for record in records:
        label = record.get("id") if isinstance(record, dict) else record
        try:
            annotations.append(_annotation(record, image))
        except ValueError as error:
            raise ValueError(f"{path}: annotation {label}: {error}") from error
    return image, annotations


def _annotation(source: Any, image: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(source, dict):
        raise ValueError("not an object")
    size = image["height"], image["width"]
    box = checked_box(source.get("bbox"))
    area = source.get("area")
    if not isinstance(area, (int, float)):
        raise ValueError(f"its area is {area!r}")
    return {
        "image_id": image["id"],
        "category_id": CATEGORY["id"],
        "segmentation": checked_segmentation(source.get("segmentation"), size),
        "bbox": box,
        "area": area,
        "iscrowd": 0,
    }
