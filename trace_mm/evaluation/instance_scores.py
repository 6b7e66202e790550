"""Class-agnostic average precision and recall of instances, as COCO defines them.

pycocotools' COCOeval does the matching and counting. What it leaves open is fixed here: the order
of detections with equal scores, annotation ids, and what is ignored.
"""

import contextlib
import copy
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trace_mm.evaluation.detections import Detection, collect_detections
from trace_mm.evaluation.instance_ground_truth import (
    IOU_TYPES,
    InstanceGroundTruth,
    TrueInstance,
)
from trace_mm.evaluation.touching_instances import has_touching_instances
from trace_mm.files.json_values import ImageId

PROTOCOLS = ("coco", "voc2012")
Detections = str | Path | Mapping[str, Any] | Iterable[Any]
"""Results, the content of an annotation file with scores, or the path of one of these."""

_SIZES = ("all", "s", "m", "l")  # COCOeval's area ranges
_NO_CLASS = [{"id": 1, "name": "object"}]


@dataclass(frozen=True)
class SplitScores:
    """Scores of a part of the images.

    Attributes:
        ap: average precision, mean over IoU 0.5 to 0.95; -1 if the part holds no instance.
        ar: average recall with the most detections; -1 if the part holds no instance.
        image_ids: which images these are.
    """

    ap: float
    ar: float
    image_ids: list[ImageId]


@dataclass(frozen=True)
class InstanceScores:
    """Class-agnostic scores, each in [0, 1], or -1 where there is no true instance to find.

    Attributes:
        ap: mean over IoU thresholds 0.5, 0.55, ..., 0.95, with the most detections.
        ap50: at IoU 0.5.
        ap75: at IoU 0.75.
        ap_by_size: ``ap`` of small (``s``, under 32^2 pixels), medium (``m``) and large (``l``,
            from 96^2 pixels) instances.
        ar: average recall by the number of detections an image, mean over IoU thresholds.
        ar_by_size: average recall with the most detections, by size.
        touching: images in which two instances of one class touch (Problem A).
        apart: all other images (Problem B).
        images: how many.
        instances: true ones that must be found.
        detections: how many, on all images.
    """

    ap: float
    ap50: float
    ap75: float
    ap_by_size: dict[str, float]
    ar: dict[int, float]
    ar_by_size: dict[str, float]
    touching: SplitScores
    apart: SplitScores
    images: int
    instances: int
    detections: int

    def to_dict(self) -> dict[str, float]:
        """All numbers by their usual names, such as ``AP50``, ``AP_s``, ``AR100``."""
        most = f"AR{max(self.ar)}"
        return {
            "AP": self.ap,
            "AP50": self.ap50,
            "AP75": self.ap75,
            **{f"AP_{size}": value for size, value in self.ap_by_size.items()},
            **{f"AR{number}": value for number, value in self.ar.items()},
            **{f"{most}_{size}": value for size, value in self.ar_by_size.items()},
            "AP_touching": self.touching.ap,
            f"{most}_touching": self.touching.ar,
            "images_touching": len(self.touching.image_ids),
            "AP_apart": self.apart.ap,
            f"{most}_apart": self.apart.ar,
            "images_apart": len(self.apart.image_ids),
        }


@dataclass(frozen=True)
class ScoringSettings:
    """How instances are scored; see :func:`evaluate_instances`.

    Raises:
        ValueError: if a value is unknown or out of range.
    """

    protocol: str = "coco"
    iou_type: str = "segm"
    max_detections: Sequence[int] = field(default=(1, 10, 100))
    touch_distance: int = 2

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {PROTOCOLS}, got {self.protocol!r}")
        if self.iou_type not in IOU_TYPES:
            raise ValueError(f"iou_type must be one of {IOU_TYPES}, got {self.iou_type!r}")
        if not self.max_detections or min(self.max_detections) < 1:
            raise ValueError(f"max_detections must be at least 1, got {self.max_detections}")
        if self.touch_distance < 0:
            raise ValueError(f"touch_distance must not be negative, got {self.touch_distance}")

    @property
    def boxes(self) -> bool:
        """Whether boxes are scored rather than masks."""
        return self.iou_type == "bbox"


def evaluate_instances(
    ground_truth: str | Path | dict[str, Any] | InstanceGroundTruth,
    detections: Detections,
    protocol: str = "coco",
    iou_type: str = "segm",
    max_detections: Sequence[int] = (1, 10, 100),
    touch_distance: int = 2,
    image_ids: Iterable[ImageId] | None = None,
) -> InstanceScores:
    """Class-agnostic scores of detections, equal to COCOeval's with ``useCats=0``.

    Detections of one image with equal scores count in the order of falling area, then of their
    boxes (x, y, width, height), then of their RLE's bytes; detections of several images with equal
    scores in the order of image ids. So the scores do not depend on the order of the input.

    Args:
        ground_truth: path or content of a COCO annotation file.
        detections: COCO results: dicts with ``image_id``, ``score`` and ``segmentation`` or
            ``bbox``. Classes are not looked at. Also a file with them, or an annotation file whose
            annotations have scores, as ``trace-mm refine`` writes it, or its content.
        protocol: "coco", or "voc2012": difficult instances are ignored and void pixels are taken
            out of the detections, for ground truth of ``tools/dataset_converters/voc2012.py``.
        iou_type: "segm" or "bbox".
        max_detections: numbers of detections an image, those with the highest scores; AP takes the
            most.
        touch_distance: how near instances of one class are that count as touching, in pixels; see
            :func:`trace_mm.evaluation.touching_instances.has_touching_instances`.
        image_ids: score these images only; None scores all of the ground truth.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the input does not fit; names the image and the record.
    """
    settings = ScoringSettings(protocol, iou_type, tuple(max_detections), touch_distance)
    truth = ground_truth
    if isinstance(truth, (str, Path)):
        truth = InstanceGroundTruth.read(truth, settings.boxes)
    elif not isinstance(truth, InstanceGroundTruth):
        truth = InstanceGroundTruth(truth, boxes=settings.boxes)
    return score_instances(truth, detections, settings, image_ids)


def score_instances(
    truth: InstanceGroundTruth,
    detections: Detections,
    settings: ScoringSettings,
    image_ids: Iterable[ImageId] | None = None,
) -> InstanceScores:
    """See :func:`evaluate_instances`."""
    if truth.boxes != settings.boxes:
        raise ValueError(f"{truth.name} was not read for iou_type={settings.iou_type!r}")
    exclude_void = settings.protocol == "voc2012" and not settings.boxes
    if exclude_void and len(truth.void) < len(truth.sizes):
        raise ValueError(
            f"{truth.name}: protocol voc2012 needs void_segmentation in each image; write the file "
            f"with tools/dataset_converters/voc2012.py"
        )
    found = collect_detections(detections, truth, exclude_void)
    if image_ids is None:
        chosen = list(truth.sizes)
    else:
        wanted = {truth.key_of(image_id) for image_id in image_ids}
        chosen = [image_id for image_id in truth.sizes if image_id in wanted]
    matcher = _Matcher(truth, found, chosen, settings)
    touches = np.array(
        [has_touching_instances(truth.instances[key], settings.touch_distance) for key in chosen],
        dtype=bool,
    )
    counts = matcher.count(np.ones(len(chosen), dtype=bool))
    return InstanceScores(
        ap=counts.ap(),
        ap50=counts.ap(iou=0.5),
        ap75=counts.ap(iou=0.75),
        ap_by_size={size: counts.ap(size=size) for size in _SIZES[1:]},
        ar={number: counts.ar(number) for number in sorted(settings.max_detections)},
        ar_by_size={size: counts.ar(size=size) for size in _SIZES[1:]},
        touching=_split_scores(matcher, touches, chosen),
        apart=_split_scores(matcher, ~touches, chosen),
        images=len(chosen),
        instances=sum(matcher.needed(item) for key in chosen for item in truth.instances[key]),
        detections=sum(len(found[key]) for key in chosen),
    )


def _split_scores(
    matcher: "_Matcher", chosen: NDArray[np.bool_], image_ids: Sequence[ImageId]
) -> SplitScores:
    counts = matcher.count(chosen)
    ids = [image_id for image_id, kept in zip(image_ids, chosen, strict=True) if kept]
    return SplitScores(counts.ap(), counts.ar(), ids)


class _Counts:
    """Precision and recall of a set of images: COCOeval's arrays, read by name."""

    def __init__(self, evaluation: dict[str, Any]) -> None:
        self.params = evaluation["params"]
        self.precision: NDArray[np.float64] = evaluation["precision"]  # (IoU, recall, 1, size, M)
        self.recall: NDArray[np.float64] = evaluation["recall"]  # (IoU, 1, size, M)

    def ap(self, iou: float | None = None, size: str = "all") -> float:
        values = self.precision[:, :, 0, _SIZES.index(size), -1]  # (IoU, recall)
        if iou is not None:
            values = values[np.isclose(self.params.iouThrs, iou)]
        return _mean(values)

    def ar(self, number: int | None = None, size: str = "all") -> float:
        column = -1 if number is None else list(self.params.maxDets).index(number)
        return _mean(self.recall[:, 0, _SIZES.index(size), column])


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is defined; -1 if nothing is, as COCOeval has it."""
    defined = values[values > -1]
    return float(defined.mean()) if len(defined) else -1.0


class _Matcher:
    """Matches detections to instances once, and counts over any of the images."""

    def __init__(
        self,
        truth: InstanceGroundTruth,
        found: dict[ImageId, list[Detection]],
        image_ids: Sequence[ImageId],
        settings: ScoringSettings,
    ) -> None:
        self.ignore_difficult = settings.protocol == "voc2012"
        # Numbers in place of ids: COCOeval takes images in the order of their ids, and an
        # annotation whose id is 0 as unmatched.
        images, instances, detections = [], [], []
        for number, image_id in enumerate(image_ids, start=1):
            height, width = truth.sizes[image_id]
            images.append({"id": number, "height": height, "width": width})
            instances += [self._record(item, number) for item in truth.instances[image_id]]
            detections += [_record(item, number) for item in found[image_id]]
        with contextlib.redirect_stdout(io.StringIO()):
            self._evaluator = _Evaluator(
                _index(images, instances), _index(images, detections), settings.iou_type
            )
            self._evaluator.params.useCats = 0
            self._evaluator.params.maxDets = sorted(settings.max_detections)
            self._evaluator.evaluate()

    def needed(self, instance: TrueInstance) -> bool:
        """Whether missing an instance costs recall."""
        return not (instance.crowd or (self.ignore_difficult and instance.difficult))

    def count(self, chosen: NDArray[np.bool_]) -> _Counts:
        """Precision and recall over the chosen images, bool (images,)."""
        part = copy.copy(self._evaluator)
        part.params = copy.deepcopy(self._evaluator.params)
        part.params.imgIds = np.array(part.params.imgIds)[chosen].tolist()
        part._paramsEval = copy.deepcopy(part.params)
        # One entry an area range and image; the images are the inner loop.
        part.evalImgs = [
            entry
            for index, entry in enumerate(self._evaluator.evalImgs)
            if chosen[index % len(chosen)]
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            part.accumulate()
        return _Counts(part.eval)

    def _record(self, item: TrueInstance, image: int) -> dict[str, Any]:
        ignored = self.ignore_difficult and item.difficult
        return {**_record(item, image), "iscrowd": int(item.crowd), "difficult": ignored}


class _Evaluator(COCOeval):
    """COCOeval that also ignores instances that are marked as difficult."""

    def _prepare(self) -> None:
        super()._prepare()
        for instances in self._gts.values():
            for instance in instances:
                instance["ignore"] = bool(instance["ignore"] or instance["difficult"])


def _record(item: TrueInstance | Detection, image: int) -> dict[str, Any]:
    record = {"image_id": image, "category_id": 1, "area": item.area, "bbox": list(item.box)}
    if item.rle is not None:
        record["segmentation"] = item.rle
    if isinstance(item, Detection):
        record.update(score=item.score, iscrowd=0)
    return record


def _index(images: list[dict[str, Any]], records: list[dict[str, Any]]) -> COCO:
    numbered = [{**record, "id": number} for number, record in enumerate(records, start=1)]
    coco = COCO()
    coco.dataset = {"images": images, "annotations": numbered, "categories": _NO_CLASS}
    coco.createIndex()
    return coco
