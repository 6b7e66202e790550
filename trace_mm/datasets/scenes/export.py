"""Writes scenes as datasets: COCO instances, COCO panoptic and VOC-style semantic masks."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from tqdm import tqdm

from trace_mm.datasets.scenes.scene import Scene, render_scene
from trace_mm.datasets.scenes.shapes import SHAPE_CLASSES

BACKGROUND_ID = len(SHAPE_CLASSES) + 1
"""Category of the background in panoptic files; things come first."""


def export_scenes(
    folder: str | Path, seed: int, start: int, length: int, size: tuple[int, int] = (128, 128)
) -> None:
    """Render scenes into ``folder`` with all three kinds of ground truth.

    Writes ``images/<index>.png``, ``instances.json`` (COCO, RLE), ``panoptic.json`` with
    ``panoptic/<index>.png`` (id = R + 256 G + 65536 B), and ``semantic/<index>.png`` (palette PNG,
    0 is background, classes as in ``SHAPE_CLASSES`` from 1). JSON files are written last.

    Args:
        folder: created if missing.
        seed: of the series.
        start: index of the first scene.
        length: how many scenes.
        size: (H, W) of each.

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
    for index in tqdm(range(start, start + length), desc="scenes", unit="image"):
        scene, name = render_scene(seed, index, size), f"{index:06d}.png"
        images.append({"id": index, "file_name": name, "height": size[0], "width": size[1]})
        for record in coco_annotations(scene, index):
            annotations.append({"id": len(annotations) + 1, **record})
        panoptic.append(
            {"image_id": index, "file_name": name, "segments_info": panoptic_segments(scene)}
        )
        _write_png(folder / "images" / name, scene.image)
        _write_png(folder / "panoptic" / name, panoptic_image(scene))
        _write_palette(folder / "semantic" / name, semantic_mask(scene))
    things = [
        {"id": number, "name": name, "isthing": 1}
        for number, name in enumerate(SHAPE_CLASSES, start=1)
    ]
    stuff = [{"id": BACKGROUND_ID, "name": "background", "isthing": 0}]
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
    records = []
    for number, category in enumerate(scene.classes, start=1):
        mask = scene.instance_ids == number
        encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        rle = {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}
        records.append(
            {
                "image_id": image_id,
                "category_id": int(category),
                "segmentation": rle,
                "area": int(mask.sum()),
                "bbox": _box(mask),
                "iscrowd": 0,
            }
        )
    return records


def panoptic_segments(scene: Scene) -> list[dict[str, Any]]:
    """``segments_info`` of a scene: each instance, then the background if any shows."""
    categories = [*scene.classes.tolist(), BACKGROUND_ID]
    numbers = [*range(1, len(scene.classes) + 1), 0]
    segments = []
    for number, category in zip(numbers, categories, strict=True):
        mask = scene.instance_ids == number
        if mask.any():
            segments.append(
                {
                    "id": number or len(scene.classes) + 1,
                    "category_id": int(category),
                    "area": int(mask.sum()),
                    "bbox": _box(mask),
                    "iscrowd": 0,
                }
            )
    return segments


def panoptic_image(scene: Scene) -> NDArray[np.uint8]:
    """Segment ids as RGB, uint8 (H, W, 3); the background has the last id, none is 0."""
    ids = scene.instance_ids.copy()
    ids[ids == 0] = len(scene.classes) + 1
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)


def semantic_mask(scene: Scene) -> NDArray[np.uint8]:
    """Class of each pixel, uint8 (H, W); 0 is background."""
    return np.concatenate([[0], scene.classes])[scene.instance_ids].astype(np.uint8)


def _box(mask: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), image[:, :, ::-1]):
        raise OSError(f"cannot write {path}")


def _write_palette(path: Path, classes: NDArray[np.uint8]) -> None:
    image = Image.fromarray(classes, mode="P")
    image.putpalette(voc_palette().ravel().tolist())
    image.save(path)


def voc_palette() -> NDArray[np.uint8]:
    """The colours of VOC's segmentation masks, uint8 (256, 3): bits of the class, interleaved."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for label in range(256):
        for bit in range(8):
            for channel in range(3):
                palette[label, channel] |= ((label >> (3 * bit + channel)) & 1) << (7 - bit)
    return palette


def _write_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content))
    part.replace(path)
