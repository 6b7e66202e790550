"""COCOeval's matching, once, and its counts over any of the images, with classes or without."""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trace_mm.evaluation.detections import Detection
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth, TrueInstance
from trace_mm.files.json_values import ImageId

SIZES = ("all", "s", "m", "l")
"""COCOeval's area ranges."""

_NO_CLASS = 1


class Counts:
    """Precision and recall of a set of images: COCOeval's arrays, read by name.

    Means are over classes too, of those that have an instance; without classes there is one.
    """

    def __init__(self, evaluation: dict[str, Any]) -> None:
        self.params = evaluation["params"]
        self.precision: NDArray[np.float64] = evaluation["precision"]  # (IoU, recall, K, size, M)
        self.recall: NDArray[np.float64] = evaluation["recall"]  # (IoU, K, size, M)

    def ap(self, iou: float | None = None, size: str = "all", category: int | None = None) -> float:
        """Average precision, over all IoU thresholds or at one; -1 if there is no instance."""
        values = self.precision[:, :, :, SIZES.index(size), -1]  # (IoU, recall, K)
        if iou is not None:
            values = values[np.isclose(self.params.iouThrs, iou)]
        if category is not None:
            values = values[:, :, list(self.params.catIds).index(category)]
        return _mean(values)

    def ar(self, number: int | None = None, size: str = "all") -> float:
        """Average recall with so many detections an image, None for the most; -1 likewise."""
        column = -1 if number is None else list(self.params.maxDets).index(number)
        return _mean(self.recall[:, :, SIZES.index(size), column])


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is defined; -1 if nothing is, as COCOeval has it."""
    defined = values[values > -1]
    return float(defined.mean()) if len(defined) else -1.0


class Matcher:
    """Matches detections to instances once, and counts over any of the images.

    Args:
        truth: what is to be found.
        found: detections of each image.
        image_ids: the images that count.
        iou_type: "segm" or "bbox".
        max_detections: numbers of detections an image.
        ignore_difficult: whether difficult instances need not be found.
        classes: whether what matches is of one class; then detections have a ``category``.
    """

    def __init__(
        self,
        truth: InstanceGroundTruth,
        found: Mapping[ImageId, Sequence[Detection]],
        image_ids: Sequence[ImageId],
        iou_type: str,
        max_detections: Sequence[int],
        ignore_difficult: bool = False,
        classes: bool = False,
    ) -> None:
        self.ignore_difficult, self.classes = ignore_difficult, classes
        self.categories = truth.categories if classes else [_NO_CLASS]
        # Numbers in place of ids: COCOeval takes images in the order of their ids, and an
        # annotation whose id is 0 as unmatched.
        images, instances, detections = [], [], []
        for number, image_id in enumerate(image_ids, start=1):
            height, width = truth.sizes[image_id]
            images.append({"id": number, "height": height, "width": width})
            instances += [self._record(item, number) for item in truth.instances[image_id]]
            detections += [self._entry(item, number) for item in found[image_id]]
        with contextlib.redirect_stdout(io.StringIO()):
            self._evaluator = _Evaluator(
                self._index(images, instances), self._index(images, detections), iou_type
            )
            self._evaluator.params.useCats = int(classes)
            self._evaluator.params.maxDets = sorted(max_detections)
            self._evaluator.evaluate()

    def needed(self, instance: TrueInstance) -> bool:
        """Whether missing an instance costs recall."""
        return not (instance.crowd or (self.ignore_difficult and instance.difficult))

    def count(self, chosen: NDArray[np.bool_]) -> Counts:
        """Precision and recall over the chosen images, bool (images,)."""
        part = copy.copy(self._evaluator)
        part.params = copy.deepcopy(self._evaluator.params)
        part.params.imgIds = np.array(part.params.imgIds)[chosen].tolist()
        part._paramsEval = copy.deepcopy(part.params)
        # One entry a class, area range and image; the images are the inner loop.
        part.evalImgs = [
            entry
            for index, entry in enumerate(self._evaluator.evalImgs)
            if chosen[index % len(chosen)]
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            part.accumulate()
        return Counts(part.eval)

    def _record(self, item: TrueInstance, image: int) -> dict[str, Any]:
        ignored = self.ignore_difficult and item.difficult
        return {**self._entry(item, image), "iscrowd": int(item.crowd), "difficult": ignored}

    def _entry(self, item: TrueInstance | Detection, image: int) -> dict[str, Any]:
        category = item.category if self.classes else _NO_CLASS
        record: dict[str, Any] = {"image_id": image, "category_id": category}
        record |= {"area": item.area, "bbox": list(item.box)}
        if item.rle is not None:
            record["segmentation"] = item.rle
        if isinstance(item, Detection):
            record.update(score=item.score, iscrowd=0)
        return record

    def _index(self, images: list[dict[str, Any]], records: list[dict[str, Any]]) -> COCO:
        numbered = [{**record, "id": number} for number, record in enumerate(records, start=1)]
        coco = COCO()
        categories = [{"id": number, "name": str(number)} for number in self.categories]
        coco.dataset = {"images": images, "annotations": numbered, "categories": categories}
        coco.createIndex()
        return coco


class _Evaluator(COCOeval):
    """COCOeval that also ignores instances that are marked as difficult."""

    def _prepare(self) -> None:
        super()._prepare()
        for instances in self._gts.values():
            for instance in instances:
                instance["ignore"] = bool(instance["ignore"] or instance["difficult"])
