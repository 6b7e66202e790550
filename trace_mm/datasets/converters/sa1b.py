"""SA-1B: one JSON an image, beside it. Masks have no class."""

from pathlib import Path
from typing import Any

from trace_mm.datasets.converters.annotation_file import (
    CATEGORY,
    annotation_file,
    instance_record,
)
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, CocoImage
from trace_mm.files.file_names import name_parts
from trace_mm.files.json_file import read_json
from trace_mm.files.json_values import ImageId
from trace_mm.runs.progress import watched


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
    images: dict[ImageId, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for path in watched(paths, show=progress, label="SA-1B"):
        image, found = _read(path)
        if image["id"] in images:
            raise ValueError(f"{path}: image {image['id']} has a file already")
        image["file_name"] = str(path.with_name(image["file_name"]).relative_to(folder).as_posix())
        images[image["id"]] = image
        annotations += found
    return annotation_file("SA-1B", list(images.values()), annotations, [CATEGORY])


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Image and annotations of one file."""
    content = read_json(path)
    entry = content.get("image") if isinstance(content, dict) else None
    if not isinstance(entry, dict) or "annotations" not in content:
        raise ValueError(f"{path}: not a file of SA-1B, it needs 'image' and 'annotations'")
    image = CocoImage(entry, str(path), "image", None)
    size = image.size
    parts = name_parts(image.name)
    records = []
    for annotation in CocoFile(content, str(path)).annotations():
        own = CocoAnnotation(
            {**annotation.content, "image_id": image.id},
            annotation.file,
            annotation.key,
            annotation.position,
        )
        record = {**instance_record(own, size), "category_id": CATEGORY["id"]}
        records.append({key: value for key, value in record.items() if key != "id"})
    record = {"id": image.id, "height": size[0], "width": size[1], "file_name": parts[-1]}
    return record, records
