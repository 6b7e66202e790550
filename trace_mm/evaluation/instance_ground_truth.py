"""What instances are scored against: a COCO annotation file, checked and brought in one form."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from trace_mm.files.coco import decode_rle, encode_rle, run_lengths

ImageId = int | str
IOU_TYPES = ("segm", "bbox")


@dataclass(frozen=True)
class TrueInstance:
    """One annotation.

    Attributes:
        rle: compressed RLE; None where the file has boxes only.
        box: [x, y, width, height] in pixels.
        area: in pixels, which decides whether the instance is small, medium or large.
        category: its class in the file that the classes were taken out of.
        crowd: whether it stands for several instances; detections inside it do not count.
        difficult: VOC's mark for what need not be found.
    """

    rle: dict[str, Any] | None
    box: tuple[float, ...]
    area: float
    category: Any
    crowd: bool
    difficult: bool


class InstanceGroundTruth:
    """Images and their true instances.

    Annotation ids do not matter. An ``area`` that is missing, zero or not finite is measured on the
    mask, or on the box where there is none.

    Args:
        content: a COCO annotation file's content. Images may hold ``void_segmentation``, an RLE of
            pixels that nobody labelled; annotations may hold ``difficult`` and
            ``original_category_id``, as the converters write them.
        name: what error messages call it, usually its path.
        boxes: whether boxes are scored rather than masks; then annotations need no segmentation.

    Attributes:
        sizes: (H, W) by image id, by rising id.
        instances: by image id, in the order in which COCOeval sees them without classes: by
            category id, then as in the file.
        void: RLE by image id, of those images that have one.

    Raises:
        ValueError: if something is missing or does not fit; names the image or annotation.
    """

    def __init__(
        self, content: dict[str, Any], name: str = "ground truth", boxes: bool = False
    ) -> None:
        self.name, self.boxes = name, boxes
        for key in ("images", "annotations"):
            if not isinstance(content.get(key), list):
                raise ValueError(f"{name}: not a COCO annotation file, it has no list {key!r}")
        if not boxes and content.get("info", {}).get("boxes_only"):
            raise ValueError(f"{name}: holds boxes only, score it with iou_type='bbox'")
        self.sizes = self._sizes(content["images"])
        self.void = {
            image["id"]: self._rle(image["void_segmentation"], image["id"], "void pixels")
            for image in content["images"]
            if "void_segmentation" in image
        }
        self.instances: dict[ImageId, list[TrueInstance]] = {key: [] for key in self.sizes}
        for annotation in _by_category(content["annotations"], name):
            image_id = annotation.get("image_id")
            if image_id not in self.instances:
                raise ValueError(
                    f"{name}: annotation {annotation.get('id')} is of image {image_id!r}, which is "
                    f"not listed"
                )
            self.instances[image_id].append(self._instance(annotation))

    @classmethod
    def read(cls, path: str | Path, boxes: bool = False) -> "InstanceGroundTruth":
        """Read an annotation file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not JSON, or not as it should be.
        """
        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"{path}: no such annotation file")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}: not a COCO annotation file, it holds no object")
        return cls(content, str(path), boxes)

    def size_of(self, image_id: Any) -> tuple[int, int]:
        """(H, W) of an image.

        Raises:
            ValueError: if there is no such image.
        """
        try:
            return self.sizes[image_id]
        except (KeyError, TypeError):
            raise ValueError(f"image {image_id!r} is not in {self.name}") from None

    def _sizes(self, images: list[dict[str, Any]]) -> dict[ImageId, tuple[int, int]]:
        sizes: dict[ImageId, tuple[int, int]] = {}
        for image in images:
            image_id, height, width = (image.get(key) for key in ("id", "height", "width"))
            if not isinstance(image_id, (int, str)):
                raise ValueError(f"{self.name}: an image has the id {image_id!r}")
            if image_id in sizes:
                raise ValueError(f"{self.name}: two images have the id {image_id!r}")
            if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
                raise ValueError(f"{self.name}: image {image_id!r} is {height} x {width} pixels")
            sizes[image_id] = height, width
        if not sizes:
            raise ValueError(f"{self.name}: there is no image")
        if len({type(image_id) for image_id in sizes}) > 1:
            raise ValueError(f"{self.name}: some image ids are numbers and some are text")
        return dict(sorted(sizes.items()))

    def _instance(self, annotation: dict[str, Any]) -> TrueInstance:
        image_id, label = annotation["image_id"], f"annotation {annotation.get('id')}"
        segmentation = annotation.get("segmentation")
        rle = None
        if segmentation or not self.boxes:
            rle = self._rle(segmentation, image_id, label)
        box = annotation.get("bbox")
        if not box and rle is not None:
            box = mask_utils.toBbox(rle).tolist()
        try:
            checked = check_box(box)
        except ValueError as error:
            raise ValueError(f"{self.name}: image {image_id!r}: {label}: {error}") from error
        area = annotation.get("area")
        if not (isinstance(area, (int, float)) and math.isfinite(area) and area > 0):
            area = checked[2] * checked[3] if rle is None else float(mask_utils.area(rle))
        return TrueInstance(
            rle=rle,
            box=checked,
            area=float(area),
            category=annotation.get("original_category_id", annotation.get("category_id")),
            crowd=bool(annotation.get("iscrowd", 0)),
            difficult=bool(annotation.get("difficult", 0)),
        )

    def _rle(self, segmentation: Any, image_id: ImageId, label: str) -> dict[str, Any]:
        try:
            return as_rle(segmentation, self.sizes[image_id])
        except ValueError as error:
            raise ValueError(f"{self.name}: image {image_id!r}: {label}: {error}") from error


def as_rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Any COCO segmentation as compressed RLE, checked, since pycocotools trusts what it is given.

    Args:
        segmentation: polygons, or RLE, compressed or not.
        size: (H, W) of the image.

    Returns:
        ``size`` [H, W] and ``counts`` as bytes.

    Raises:
        ValueError: if it is none of these, damaged, or for another size.
    """
    if isinstance(segmentation, list) and segmentation:
        return _polygon_rle(segmentation, size)
    if not isinstance(segmentation, dict):
        raise ValueError("its segmentation is neither polygons nor RLE")
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = counts.encode()
    if isinstance(counts, bytes) and list(segmentation.get("size", ())) == list(size):
        total = int(run_lengths(counts).sum())
        if total != size[0] * size[1]:
            raise ValueError(f"its RLE is damaged: it has {total} pixels, the image is {size}")
        return {"size": list(size), "counts": counts}
    encoded = encode_rle(decode_rle(segmentation, size))
    return {"size": encoded["size"], "counts": encoded["counts"].encode("ascii")}


def _polygon_rle(polygons: list[Any], size: tuple[int, int]) -> dict[str, Any]:
    # Not by way of a decoded mask: COCO has hundreds of thousands of polygons.
    reach = max(size)
    drawn = []
    for polygon in polygons:
        try:
            corners = np.asarray(polygon, dtype=np.float64)  # x0, y0, x1, y1, ...
        except (TypeError, ValueError) as error:
            raise ValueError(f"a polygon is no list of numbers: {error}") from error
        if corners.ndim != 1 or len(corners) % 2:
            raise ValueError("a polygon is no list of pairs x, y")
        if not np.all((corners >= -reach) & (corners <= 2 * reach)):  # also false for nan
            raise ValueError(f"a polygon reaches far out of the image, which is {size} (H, W)")
        if len(corners) >= 6:  # fewer corners enclose nothing; pycocotools reads two as a box
            drawn.append(corners.tolist())
    if not drawn:
        return dict(mask_utils.encode(np.zeros(size, dtype=np.uint8, order="F")))
    return dict(mask_utils.merge(mask_utils.frPyObjects(drawn, *size)))


def check_box(box: Any) -> tuple[float, ...]:
    """A box [x, y, width, height] as four floats.

    Raises:
        ValueError: if it is not four finite numbers, or has a negative side.
    """
    try:
        values = tuple(float(value) for value in box)
    except (TypeError, ValueError):
        values = ()
    if len(values) != 4 or not all(map(math.isfinite, values)) or min(values[2:]) < 0:
        raise ValueError(f"its box is {box!r}, not x, y, width, height")
    return values


def _by_category(annotations: Iterable[Any], name: str) -> list[dict[str, Any]]:
    listed = list(annotations)
    for annotation in listed:
        if not isinstance(annotation, dict) or not isinstance(annotation.get("category_id"), int):
            raise ValueError(
                f"{name}: an annotation has no category_id that is a whole number: "
                f"{str(annotation)[:100]}"
            )
    return sorted(listed, key=lambda annotation: annotation["category_id"])
