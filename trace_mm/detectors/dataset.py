"""Instances without classes for MMDetection."""

from collections.abc import Sequence
from typing import Any

from mmdet.datasets import BaseDetDataset
from pycocotools import mask as mask_utils

from trace_mm.files import annotated_size
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, CocoImage
from trace_mm.files.file_names import ListedImages
from trace_mm.files.json_values import ImageId
from trace_mm.registry import DATASETS


@DATASETS.register_module()
class InstanceLabelDataset(BaseDetDataset):
    """The images and instances of a COCO file, all of one class.

    Of ground truth, whose classes are not looked at, or masks of a generator, a refinement or a
    detector, as these really write them: sizes are those of the masks where ``images`` states them
    wrongly, names of categories do not matter, and regions of several instances are left to be
    ignored. It takes ``ann_file``, ``data_root``, ``data_prefix=dict(img=...)``, ``filter_cfg`` and
    the other settings of mmdet's datasets; with ``filter_cfg=dict(filter_empty_gt=True)``, images
    without an instance are left out in training.

    Args:
        class_name: what the one class is called.
        settings: as of mmdet's ``BaseDetDataset``.

    Raises:
        FileNotFoundError: if there is no annotation file.
        ValueError: if it is not as it should be; names the record.
    """

    def __init__(self, *, class_name: str = "object", **settings: Any) -> None:
        settings.setdefault("metainfo", {"classes": (class_name,)})
        super().__init__(**settings)

    def load_data_list(self) -> list[dict[str, Any]]:
        """What is known of each image, in the order of the file."""
        file = CocoFile.read(self.ann_file).require("images")
        images = file.images()
        found = {} if self.test_mode else file.require("annotations").by_image(images)
        photos = ListedImages(self.data_prefix["img"])
        return [
            self._image_info(key, image, found.get(key, ()), file, photos)
            for key, image in images.items()
        ]

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out images without an instance, if asked.

        Raises:
            ValueError: if none is left.
        """
        if self.test_mode or not (self.filter_cfg or {}).get("filter_empty_gt", False):
            return self.data_list
        kept = [
            info
            for info in self.data_list
            if any(not one["ignore_flag"] for one in info["instances"])
        ]
        if not kept:
            raise ValueError(f"{self.ann_file}: no image has an instance")
        return kept

    def _image_info(
        self,
        key: ImageId,
        image: CocoImage,
        annotations: Sequence[CocoAnnotation],
        file: CocoFile,
        photos: ListedImages,
    ) -> dict[str, Any]:
        """One record as mmdet's transforms take it."""
        contents = [one.content for one in annotations]
        # A test needs no size: that of the photo is taken when it is read.
        size = image.stated_size if self.test_mode else annotated_size(contents, image.size)
        photo = photos.find(image.name, key)  # where there is none, reading it says so
        info: dict[str, Any] = {
            "img_path": str(photos.folder / image.name if photo is None else photo),
            "img_id": key,
            "instances": [_instance(one, size, file) for one in annotations if size is not None],
        }
        if size is not None:
            info.update(height=size[0], width=size[1])
        return info


def _instance(annotation: CocoAnnotation, size: tuple[int, int], file: CocoFile) -> dict[str, Any]:
    rle = annotation.rle(size)
    left, top, width, height = annotation.box or _box(rle)
    return {
        "bbox": [left, top, left + width, top + height],
        "bbox_label": 0,
        "ignore_flag": int(file.is_crowd(annotation)),
        # As text: a mask of bytes is to mmdet one to ignore.
        "mask": {**rle, "counts": rle["counts"].decode("ascii")},
    }


def _box(rle: dict[str, Any]) -> list[float]:
    box: list[float] = mask_utils.toBbox(rle).tolist()
    return box
