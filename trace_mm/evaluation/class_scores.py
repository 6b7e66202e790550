"""Average precision and recall with regard to classes, as COCO's main score has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trace_mm.evaluation.detections import Detection
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.evaluation.instance_matching import SIZES, Matcher
from trace_mm.files.json_values import ImageId


@dataclass(frozen=True)
class ClassScores:
    """Means over the classes that have an instance, in [0, 1], or -1 if there is none.

    Attributes:
        ap: mean over IoU thresholds 0.5, 0.55, ..., 0.95, with the most detections.
        ap50: at IoU 0.5.
        ap75: at IoU 0.75.
        ap_by_size: ``ap`` of small, medium and large instances.
        ar: average recall by the number of detections an image and class.
        ar_by_size: average recall with the most detections, by size.
        by_class: ``ap`` of each class that has an instance, by its name.
    """

    ap: float
    ap50: float
    ap75: float
    ap_by_size: dict[str, float]
    ar: dict[int, float]
    ar_by_size: dict[str, float]
    by_class: dict[str, float]

    def to_dict(self) -> dict[str, float]:
        """Numbers by their usual names after ``class_``, such as ``class_AP50``."""
        most = f"AR{max(self.ar)}"
        named = {
            "AP": self.ap,
            "AP50": self.ap50,
            "AP75": self.ap75,
            **{f"AP_{size}": value for size, value in self.ap_by_size.items()},
            **{f"AR{number}": value for number, value in self.ar.items()},
            **{f"{most}_{size}": value for size, value in self.ar_by_size.items()},
        }
        return {f"class_{name}": value for name, value in named.items()}


def class_scores(
    truth: InstanceGroundTruth,
    found: Mapping[ImageId, Sequence[Detection]],
    image_ids: Sequence[ImageId],
    iou_type: str,
    max_detections: Sequence[int],
    ignore_difficult: bool = False,
) -> ClassScores:
    """Scores in which a detection matches instances of its class only; COCOeval's ``useCats=1``.

    Args:
        truth: what is to be found.
        found: detections of each image, with categories.
        image_ids: the images that count.
        iou_type: "segm" or "bbox".
        max_detections: numbers of detections an image and class; AP takes the most.
        ignore_difficult: whether difficult instances need not be found.
    """
    matcher = Matcher(
        truth, found, image_ids, iou_type, max_detections, ignore_difficult, classes=True
    )
    counts = matcher.count(np.ones(len(image_ids), dtype=bool))
    by_class = {category: counts.ap(category=category) for category in truth.categories}
    return ClassScores(
        ap=counts.ap(),
        ap50=counts.ap(iou=0.5),
        ap75=counts.ap(iou=0.75),
        ap_by_size={size: counts.ap(size=size) for size in SIZES[1:]},
        ar={number: counts.ar(number) for number in sorted(max_detections)},
        ar_by_size={size: counts.ar(size=size) for size in SIZES[1:]},
        by_class={truth.names[key]: value for key, value in by_class.items() if value > -1},
    )
