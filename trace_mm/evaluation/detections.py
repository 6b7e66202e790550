"""Detections as they are scored: checked, free of void pixels, and in an order of their own."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from pycocotools import mask as mask_utils

from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.files.coco_file import CocoAnnotation, CocoFile
from trace_mm.files.json_values import ImageId, as_finite


@dataclass(frozen=True)
class Detection:
    """One detection.

    Attributes:
        score: finite.
        area: of the mask, or of the box where boxes are scored, in pixels.
        box: [x, y, width, height] in pixels.
        rle: compressed RLE; None where boxes are scored.
        category: its class in the ground truth; None where classes do not matter.
    """

    score: float
    area: float
    box: tuple[float, ...]
    rle: dict[str, Any] | None
    category: int | None = None

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts by falling score, falling area, box, then mask: by content, not by arrival."""
        counts = b"" if self.rle is None else self.rle["counts"]
        return -self.score, -self.area, self.box, counts


def collect_detections(
    results: str | Path | Mapping[str, Any] | Iterable[Any],
    truth: InstanceGroundTruth,
    exclude_void: bool = False,
    classes: bool = False,
) -> dict[ImageId, list[Detection]]:
    """Detections by image, each image's in the order in which they are scored.

    Args:
        results: COCO results: ``image_id``, ``score``, and ``segmentation`` (RLE or polygons), or
            ``bbox`` where boxes are scored; without one, the box is the mask's. Also the content of
            an annotation file with scores, or the path of a file of either kind.
        truth: what they are scored against.
        exclude_void: take the image's void pixels out of each mask.
        classes: whether each needs a ``category_id``. There is a warning of those that the truth
            does not have, which match nothing.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if an image is unknown, a score is not finite, a mask or box does not fit, or a
            class is missing or none is known; names the image and the record.
    """
    if isinstance(results, (str, Path)):
        file = CocoFile.read(results)
    else:
        content = dict(results) if isinstance(results, Mapping) else list(results)
        file = CocoFile(content, "detections")
    found: dict[ImageId, list[Detection]] = {image_id: [] for image_id in truth.sizes}
    unknown: list[int] = []
    for result in file.require("annotations").annotations():
        listed = result.image
        try:
            image_id = truth.key_of(listed)
        except ValueError as error:
            raise result.bad(error) from error
        category = result.category() if classes else None
        if category is not None and category not in truth.names:
            unknown.append(category)
        try:
            void = truth.void.get(image_id) if exclude_void else None
            detection = _detection(result, truth.sizes[image_id], truth.boxes, void)
        except ValueError as error:
            raise ValueError(f"image {image_id!r}: a detection is wrong: {error}") from error
        found[image_id].append(replace(detection, category=category))
    if unknown:
        _tell_unknown(unknown, sum(map(len, found.values())), truth, file.name)
    return {
        image_id: sorted(detections, key=lambda detection: detection.order)
        for image_id, detections in found.items()
    }


def _tell_unknown(unknown: list[int], total: int, truth: InstanceGroundTruth, name: str) -> None:
    """Say how many detections are of no class of the truth.

    Raises:
        ValueError: if no detection is of one.
    """
    told = (
        f"{name}: {len(unknown)} of {total} detections are of categories that "
        f"{truth.name} does not have, such as {unknown[0]}; it has {sorted(truth.names)[:20]}"
    )
    if len(unknown) == total:
        raise ValueError(told)
    print_log(f"{told}: they have no class to match", "current", logging.WARNING)


def check_score(score: Any) -> float:
    """A score as a float.

    Raises:
        ValueError: if it is not a finite number.
    """
    value = as_finite(score)
    if value is None:
        raise ValueError(f"score must be a finite number, got {score!r}")
    return value


def _detection(
    result: CocoAnnotation, size: tuple[int, int], boxes: bool, void: dict[str, Any] | None
) -> Detection:
    score = result.score
    if score is None:
        raise result.bad("there is no score")
    if boxes and result.box is not None:
        box = result.box
        return Detection(score, box[2] * box[3], box, None)
    rle = result.rle(size)
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
