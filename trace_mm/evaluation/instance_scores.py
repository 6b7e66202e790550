"""Average precision and recall of instances, as COCO defines them, class-agnostic at first.

pycocotools' COCOeval does the matching and counting. What it leaves open is fixed here: the order
of detections with equal scores, annotation ids, and what is ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.evaluation.class_scores import ClassScores, class_scores
from trace_mm.evaluation.detections import collect_detections
from trace_mm.evaluation.image_quality import image_quality_of_instances
from trace_mm.evaluation.instance_ground_truth import IOU_TYPES, InstanceGroundTruth
from trace_mm.evaluation.instance_matching import SIZES, Matcher
from trace_mm.evaluation.panoptic_quality import ImageQuality
from trace_mm.evaluation.touching_instances import has_touching_instances
from trace_mm.files.json_values import ImageId

PROTOCOLS = ("coco", "voc2012")
Detections = str | Path | Mapping[str, Any] | Iterable[Any]
"""Results, the content of an annotation file with scores, or the path of one of these."""


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
        classes: scores with regard to classes, if they were asked for.
        image_quality: panoptic quality of each image, averaged, if it was asked for and there is an
            instance.
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
    classes: ClassScores | None = None
    image_quality: ImageQuality | None = None

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
            **({} if self.classes is None else self.classes.to_dict()),
            **({} if self.image_quality is None else self.image_quality.to_dict()),
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
    classes: bool = False
    image_pq: bool = False

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {PROTOCOLS}, got {self.protocol!r}")
        if self.iou_type not in IOU_TYPES:
            raise ValueError(f"iou_type must be one of {IOU_TYPES}, got {self.iou_type!r}")
        if not self.max_detections or min(self.max_detections) < 1:
            raise ValueError(f"max_detections must be at least 1, got {self.max_detections}")
        if self.touch_distance < 0:
            raise ValueError(f"touch_distance must not be negative, got {self.touch_distance}")
        if self.image_pq and self.boxes:
            raise ValueError("image_pq needs masks: it has no effect with iou_type='bbox'")

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
    classes: bool = False,
    image_pq: bool = False,
) -> InstanceScores:
    """Class-agnostic scores of detections, equal to COCOeval's with ``useCats=0``.

    Detections of one image with equal scores count in the order of falling area, then of their
    boxes (x, y, width, height), then of their RLE's bytes; detections of several images with equal
    scores in the order of image ids. So the scores do not depend on the order of the input.

    Args:
        ground_truth: path or content of a COCO annotation file.
        detections: COCO results: dicts with ``image_id``, ``score`` and ``segmentation`` or
            ``bbox``. Classes are looked at with ``classes`` only. Also a file with them, or an
            annotation file whose annotations have scores, as ``trace-mm refine`` writes it, or its
            content.
        protocol: "coco", or "voc2012": difficult instances are ignored and void pixels are taken
            out of the detections, for ground truth of ``tools/dataset_converters/voc2012.py``.
        iou_type: "segm" or "bbox".
        max_detections: numbers of detections an image, those with the highest scores; AP takes the
            most.
        touch_distance: how near instances of one class are that count as touching, in pixels; see
            :func:`trace_mm.evaluation.touching_instances.has_touching_instances`.
        image_ids: score these images only; None scores all of the ground truth.
        classes: also score with regard to classes, equal to COCOeval's with ``useCats=1``; each
            detection then needs a ``category_id`` of the ground truth.
        image_pq: also compute the panoptic quality of each image, without regard to classes; see
            :func:`trace_mm.evaluation.image_quality.image_quality_of_instances`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the input does not fit; names the image and the record.

    Examples:
        >>> image = {"id": 1, "width": 8, "height": 8}
        >>> shape = {"segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]], "bbox": [0, 0, 4, 4], "area": 16}
        >>> thing = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, **shape}
        >>> classes = [{"id": 1, "name": "cat"}]
        >>> true = {"images": [image], "annotations": [thing], "categories": classes}
        >>> found = [{"image_id": 1, "category_id": 1, "score": 0.9, **shape}]
        >>> round(evaluate_instances(true, found).ap, 3)
        1.0
    """
    settings = ScoringSettings(
        protocol, iou_type, tuple(max_detections), touch_distance, classes, image_pq
    )
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
    found = collect_detections(detections, truth, exclude_void, settings.classes)
    if image_ids is None:
        chosen = list(truth.sizes)
    else:
        wanted = {truth.key_of(image_id) for image_id in image_ids}
        chosen = [image_id for image_id in truth.sizes if image_id in wanted]
    difficult = settings.protocol == "voc2012"
    options = (settings.iou_type, settings.max_detections, difficult)
    matcher = Matcher(truth, found, chosen, *options)
    touches = np.array(
        [has_touching_instances(truth.instances[key], settings.touch_distance) for key in chosen],
        dtype=bool,
    )
    counts = matcher.count(np.ones(len(chosen), dtype=bool))
    return InstanceScores(
        ap=counts.ap(),
        ap50=counts.ap(iou=0.5),
        ap75=counts.ap(iou=0.75),
        ap_by_size={size: counts.ap(size=size) for size in SIZES[1:]},
        ar={number: counts.ar(number) for number in sorted(settings.max_detections)},
        ar_by_size={size: counts.ar(size=size) for size in SIZES[1:]},
        touching=_split_scores(matcher, touches, chosen),
        apart=_split_scores(matcher, ~touches, chosen),
        images=len(chosen),
        instances=sum(matcher.needed(item) for key in chosen for item in truth.instances[key]),
        detections=sum(len(found[key]) for key in chosen),
        classes=class_scores(truth, found, chosen, *options) if settings.classes else None,
        image_quality=(
            image_quality_of_instances(truth, found, chosen) if settings.image_pq else None
        ),
    )


def _split_scores(
    matcher: Matcher, chosen: NDArray[np.bool_], image_ids: Sequence[ImageId]
) -> SplitScores:
    counts = matcher.count(chosen)
    ids = [image_id for image_id, kept in zip(image_ids, chosen, strict=True) if kept]
    return SplitScores(counts.ap(), counts.ar(), ids)
