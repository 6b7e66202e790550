"""What instances are scored against: a COCO annotation file, checked and brought in one form."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from pycocotools import mask as mask_utils

from trace_mm.files import annotated_size
from trace_mm.files.coco import segmentation_rle
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, CocoImage, by_rising_id
from trace_mm.files.json_file import read_json
from trace_mm.files.json_values import ImageId, as_flag, as_id

IOU_TYPES = ("segm", "bbox")


@dataclass(frozen=True)
class TrueInstance:
    """One annotation.

    Attributes:
        rle: compressed RLE; None where the file has boxes only.
        box: [x, y, width, height] in pixels.
        area: in pixels, which decides whether the instance is small, medium or large.
        category: its class, in the file that the classes were taken out of if there is one.
        crowd: whether it stands for several instances; detections inside it do not count.
        difficult: VOC's mark for what need not be found.
    """

    rle: dict[str, Any] | None
    box: tuple[float, ...]
    area: float
    category: int
    crowd: bool
    difficult: bool


class InstanceGroundTruth:
    """Images and their true instances.

    Annotation ids do not matter. An ``area`` that is missing, zero or not finite is measured on the
    mask, or on the box where there is none. A file all of whose annotations are crowds of RLE holds
    instances, with a warning; see :attr:`trace_mm.files.coco_file.CocoFile.only_crowds`.

    Args:
        content: a COCO annotation file's content. Images may hold ``void_segmentation``, an RLE of
            pixels that nobody labelled; annotations may hold ``difficult`` and
            ``original_category_id``, as the converters write them.
        name: what error messages call it, usually its path.
        boxes: whether boxes are scored rather than masks; then annotations need no segmentation.

    Attributes:
        sizes: (H, W) by image id, by rising id, numbers before text.
        instances: by image id, in the order in which COCOeval sees them without classes: by
            category id, then as in the file.
        void: RLE by image id, of those images that have one.
        names: of classes by id, in the file that they were taken out of if there is one.

    Raises:
        ValueError: if something is missing or does not fit, or all annotations are crowds; names
            the record.
    """

    def __init__(self, content: Any, name: str = "ground truth", boxes: bool = False) -> None:
        self.name, self.boxes = name, boxes
        file = CocoFile(content, name).require("images", "annotations")
        if not boxes and as_flag(file.info.get("boxes_only")):
            raise ValueError(f"{name}: holds boxes only, score it with iou_type='bbox'")
        images = file.images()
        if not images:
            raise ValueError(f"{name}: there is no image")
        found = file.by_image(images)
        self.sizes = {
            key: annotated_size([one.content for one in found[key]], image.size)
            for key, image in by_rising_id(images).items()
        }
        self.void = {
            key: _void(image, self.sizes[key])
            for key, image in images.items()
            if image.content.get("void_segmentation") is not None
        }
        self.instances: dict[ImageId, list[TrueInstance]] = {}
        for key, size in self.sizes.items():
            ordered = sorted(found[key], key=lambda annotation: annotation.category())
            self.instances[key] = [self._instance(one, file, size) for one in ordered]
        self._check_crowds(file.require_annotations())
        original = CocoFile({"categories": file.content.get("original_categories")}, name)
        listed = original.category_names() or file.category_names()
        self.names = {key: listed.get(key, f"class {key}") for key in {*listed, *self.categories}}

    @property
    def categories(self) -> list[int]:
        """The classes that occur, rising."""
        return sorted({one.category for found in self.instances.values() for one in found})

    @classmethod
    def read(cls, path: str | Path, boxes: bool = False) -> "InstanceGroundTruth":
        """Read an annotation file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not JSON, or not as it should be.
        """
        return cls(read_json(path, "annotation file"), str(path), boxes)

    def key_of(self, image_id: Any) -> ImageId:
        """The id of one of the images, whether it is written 7, 7.0 or "7".

        Raises:
            ValueError: if there is no such image.
        """
        key = as_id(image_id)
        if key is None or key not in self.sizes:
            raise ValueError(f"image {image_id!r} is not in {self.name}")
        return key

    def _instance(
        self, annotation: CocoAnnotation, file: CocoFile, size: tuple[int, int]
    ) -> TrueInstance:
        masked = annotation.segmentation is not None or not self.boxes
        rle = annotation.rle(size) if masked else None
        box = annotation.box
        if box is None:
            if rle is None:
                raise annotation.bad("there is no bbox, and no segmentation to take it from")
            box = tuple(mask_utils.toBbox(rle).tolist())
        area = annotation.area
        if area is None:
            area = box[2] * box[3] if rle is None else float(mask_utils.area(rle))
        original = annotation.content.get("original_category_id") is not None
        return TrueInstance(
            rle=rle,
            box=box,
            area=area,
            category=annotation.category("original_category_id" if original else "category_id"),
            crowd=file.is_crowd(annotation),
            difficult=annotation.flag("difficult"),
        )

    def _check_crowds(self, file: CocoFile) -> None:
        """Say what crowds do to the scores where they are all, or most.

        Raises:
            ValueError: if there is no instance beside them.
        """
        if file.crowd_note:
            print_log(file.crowd_note, "current", logging.WARNING)
        every = [item.crowd for items in self.instances.values() for item in items]
        told = (
            f"{self.name}: {sum(every)} of {len(every)} annotations are crowds (iscrowd 1), which "
            f"need not be found, and detections inside them do not count; instances have iscrowd 0"
        )
        if every and all(every):
            raise ValueError(told)
        if 2 * sum(every) > len(every):
            print_log(told, "current", logging.WARNING)


def _void(image: CocoImage, size: tuple[int, int]) -> dict[str, Any]:
    try:
        return segmentation_rle(image.content["void_segmentation"], size)
    except ValueError as error:
        raise image.bad(f"void_segmentation: {error}") from error
