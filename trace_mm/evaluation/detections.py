"""Detections as they are scored: checked, free of void pixels, and in an order of their own."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from trace_mm.evaluation.instance_ground_truth import (
    ImageId,
    InstanceGroundTruth,
    as_rle,
    check_box,
)


@dataclass(frozen=True)
class Detection:
    """One detection.

    Attributes:
        score: finite.
        area: of the mask, or of the box where boxes are scored, in pixels.
        box: [x, y, width, height] in pixels.
        rle: compressed RLE; None where boxes are scored.
    """

    score: float
    area: float
    box: tuple[float, ...]
    rle: dict[str, Any] | None

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts by falling score, falling area, box, then mask: by content, not by arrival."""
        counts = b"" if self.rle is None else self.rle["counts"]
        return -self.score, -self.area, self.box, counts


def collect_detections(
    results: Iterable[dict[str, Any]], truth: InstanceGroundTruth, exclude_void: bool = False
) -> dict[ImageId, list[Detection]]:
    """Detections by image, each image's in the order in which they are scored.

    Args:
        results: COCO results: ``image_id``, ``score``, and ``segmentation`` (RLE or polygons), or
            ``bbox`` where boxes are scored; without one, the box is the mask's.
        truth: what they are scored against.
        exclude_void: take the image's void pixels out of each mask.

    Raises:
        ValueError: if an image is unknown, a score is not finite, or a mask or box does not fit;
            names the image.
    """
    found: dict[ImageId, list[Detection]] = {image_id: [] for image_id in truth.sizes}
    for result in results:
        image_id: ImageId = result.get("image_id", "without an id")
        size = truth.size_of(image_id)
        try:
            void = truth.void.get(image_id) if exclude_void else None
            found[image_id].append(_detection(result, size, truth.boxes, void))
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: a detection is wrong: {error}") from error
    return {
        image_id: sorted(detections, key=lambda detection: detection.order)
        for image_id, detections in found.items()
    }


def check_score(score: Any) -> float:
    """A score as a float.

    Raises:
        ValueError: if it is not a finite number.
    """
    try:
        value = float(score)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"its score is {score!r}")
    return value


def _detection(
    result: dict[str, Any], size: tuple[int, int], boxes: bool, void: dict[str, Any] | None
) -> Detection:
    score = check_score(result.get("score"))
    if boxes and result.get("bbox") is not None:
        box = check_box(result["bbox"])
        return Detection(score, box[2] * box[3], box, None)
    rle = as_rle(result.get("segmentation"), size)
    if void is not None:
        rle = _without(rle, void)
    box = tuple(mask_utils.toBbox(rle).tolist())
    if boxes:
        return Detection(score, box[2] * box[3], box, None)
    return Detection(score, float(mask_utils.area(rle)), box, rle)


def _without(rle: dict[str, Any], void: dict[str, Any]) -> dict[str, Any]:
    """A mask without the void pixels."""
    kept = mask_utils.decode(rle) & (1 - mask_utils.decode(void))  # (H, W), 0 or 1
    return dict(mask_utils.encode(np.asfortranarray(kept)))
