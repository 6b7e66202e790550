"""Writes scenes as datasets: COCO instances, COCO panoptic and VOC-style semantic masks."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.scenes.scene import Scene, render_grid
from trace_mm.datasets.scenes.shapes import SHAPE_CLASSES
from trace_mm.files import instance_annotation, write_atomically
from trace_mm.files.palette import semantic_png
from trace_mm.files.panoptic import panoptic_png, segments_info
from trace_mm.runs.progress import watched

BACKGROUND_ID = len(SHAPE_CLASSES) + 1
"""Category of the background in panoptic files; things come first."""


def export_scenes(
    folder: str | Path,
    seed: int,
    start: int,
    length: int,
    size: tuple[int, int] = (128, 128),
    grid: int = 1,
) -> None:
    """Render scenes into ``folder`` with all three kinds of ground truth.

    Writes ``images/<index>.png``, ``instances.json`` (COCO, RLE), ``panoptic.json`` with
    ``panoptic/<index>.png`` (id = R + 256 G + 65536 B), and ``semantic/<index>.png`` (palette PNG,
    0 is background, classes as in ``SHAPE_CLASSES`` from 1), which ``classes.json`` explains to
    ``trace-mm panoptic``. JSON files are written last.

    Args:
        folder: created if missing.
        seed: of the series.
        start: index of the first image.
        length: how many images.
        size: (H, W) of each scene.
        grid: an image is grid x grid scenes side by side; see
            :func:`trace_mm.datasets.scenes.scene.render_grid`.

    Raises:
        FileExistsError: if the folder holds an export already.
        ValueError: if size, seed or index are out of range.
    """
    folder = Path(folder)
    if (folder / "instances.json").exists():
        raise FileExistsError(f"{folder} already holds exported scenes")
    for name in ("images", "panoptic", "semantic"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    panoptic: list[dict[str, Any]] = []
    for index in watched(range(start, start + length), label="scenes"):
        scene, name = render_grid(seed, index, size, grid), f"{index:06d}.png"
        height, width = scene.instance_ids.shape
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        for record in coco_annotations(scene, index):
            annotations.append({"id": len(annotations) + 1, **record})
        panoptic.append(
            {"image_id": index, "file_name": name, "segments_info": panoptic_segments(scene)}
        )
        _write_png(folder / "images" / name, scene.image)
        (folder / "panoptic" / name).write_bytes(panoptic_png(panoptic_ids(scene)))
        (folder / "semantic" / name).write_bytes(semantic_png(semantic_mask(scene)))
    things = [
        {"id": number, "name": name, "isthing": 1}
        for number, name in enumerate(SHAPE_CLASSES, start=1)
    ]
    stuff = [{"id": BACKGROUND_ID, "name": "background", "isthing": 0}]
    _write_json(
        folder / "classes.json",
        {"thing_classes": list(SHAPE_CLASSES), "stuff_classes": ["background"]},
    )
    _write_json(
        folder / "panoptic.json",
        {"images": images, "annotations": panoptic, "categories": things + stuff},
    )
    _write_json(
        folder / "instances.json",
        {"images": images, "annotations": annotations, "categories": things},
    )


def coco_annotations(scene: Scene, image_id: int) -> list[dict[str, Any]]:
    """COCO instance annotations of a scene, without their ids; boxes are x, y, width, height."""
    return [
        {
            "image_id": image_id,
            **instance_annotation(scene.instance_ids == number, int(category)),
        }
        for number, category in enumerate(scene.classes, start=1)
    ]


def panoptic_segments(scene: Scene) -> list[dict[str, Any]]:
    """``segments_info`` of a scene: each instance, then the background if any shows."""
    categories = [*scene.classes.tolist(), BACKGROUND_ID]
    return segments_info(panoptic_ids(scene), dict(enumerate(categories, start=1)))


def panoptic_ids(scene: Scene) -> NDArray[np.int32]:
    """Segment ids, int32 (H, W); the background has the last id, none is 0."""
    return np.where(scene.instance_ids == 0, len(scene.classes) + 1, scene.instance_ids)


def semantic_mask(scene: Scene) -> NDArray[np.uint8]:
    """Class of each pixel, uint8 (H, W); 0 is background."""
    return np.concatenate([[0], scene.classes])[scene.instance_ids].astype(np.uint8)


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), image[:, :, ::-1]):
        raise OSError(f"cannot write {path}")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content).encode())
