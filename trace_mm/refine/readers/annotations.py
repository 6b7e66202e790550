"""The annotations of one image in COCO's JSON, as the tools that write it really write them."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.coco import decode_segmentation
from trace_mm.files.json_values import as_integer
from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.readers.base import BadMaskError, MaskStack, OnBad
from trace_mm.refine.readers.source import describe

_MAX_CATEGORY = 2**31 - 1
_GLANCES = 32

Located = tuple[int, Any]
"""An annotation and its position in the file: ids of annotations repeat, positions do not."""


def read_annotations(
    annotations: Sequence[Located],
    size: tuple[int, int],
    scored: bool,
    where: str,
    on_bad: OnBad | None,
) -> InstanceMasks:
    """The masks of one image's annotations.

    Only ``segmentation``, ``category_id``, ``score`` and ``iscrowd`` are looked at; ``bbox``,
    ``area``, ``width``, ``height`` and ``id`` are wrong in some files. A category id may be written
    as 1.0; without one it is 1. Crowd regions are no instances and left out.

    Args:
        annotations: with their positions in the file.
        size: (H, W) of the image.
        scored: whether the scores count.
        where: what messages call the image: file and record.
        on_bad: called for each bad annotation, which is then left out.

    Raises:
        BadMaskError: if an annotation is bad and there is no ``on_bad``, or there are too many.
    """
    try:
        stack = MaskStack(len(annotations), size)
    except ValueError as error:
        raise BadMaskError(f"{where}: {error}") from error
    for position, annotation in annotations:
        try:
            if not isinstance(annotation, dict):
                raise ValueError(f"must be an object, got {describe(annotation)}")
            if as_integer(annotation.get("iscrowd")) == 1 or annotation.get("iscrowd") is True:
                continue
            mask = _mask(annotation, size)
            label, score = _label(annotation), _score(annotation) if scored else None
            stack.add(mask, label, score)
        except ValueError as error:
            bad = BadMaskError(f"{where}: annotations[{position}]: {error}")
            if on_bad is None:
                raise bad from error
            on_bad(bad)
    return stack.instances(scored)


def scores_count(annotations: Iterable[Any]) -> bool:
    """Whether the scores of a source say anything.

    They do not if an annotation has none (CutLER's self-training files mix detections with masks of
    MaskCut) or all are exactly 1 (ProMerge writes this constant for evaluation tools).
    """
    differ = False
    for annotation in annotations:
        if isinstance(annotation, dict) and "segmentation" in annotation:
            score = annotation.get("score")
            if score is None:
                return False
            differ = differ or score != 1
    return differ


def first_annotations(content: Any) -> list[dict[str, Any]]:
    """Some annotations of a file or list, to see what they look like; [] if it is no such thing."""
    annotations = content.get("annotations") if isinstance(content, dict) else content
    some = annotations[:_GLANCES] if isinstance(annotations, list) else []
    return [annotation for annotation in some if isinstance(annotation, dict)]


def category_names(categories: Any) -> dict[int, str]:
    """Names of a file's categories by id; those that cannot be read have none."""
    names = {}
    for category in categories if isinstance(categories, list) else []:
        if not isinstance(category, dict):
            continue
        number, name = as_integer(category.get("id")), category.get("name")
        if number is not None and isinstance(name, str):
            names[number] = name
    return names


def id_of(value: Any) -> int | str | None:
    """An image's id: 7, 7.0 and "7" are the same; None if it is neither number nor text."""
    if not isinstance(value, str):
        return as_integer(value)
    if value.isascii() and value.isdecimal() and len(value) < 16 and str(int(value)) == value:
        return int(value)
    return value or None


def image_name(image: dict[str, Any]) -> str | None:
    """File name of an entry of ``images``; LVIS states it in ``coco_url`` only."""
    name = image.get("file_name")
    if name is None and isinstance(image.get("coco_url"), str):
        name = "/".join(image["coco_url"].split("/")[-2:])  # val2017/000000000139.jpg
    return name if isinstance(name, str) and Path(name).name else None


def category_of(value: Any) -> int:
    """A category id.

    Raises:
        ValueError: if it is not a whole number.
    """
    number = as_integer(value)
    if number is None or abs(number) > _MAX_CATEGORY:
        raise ValueError(f"category_id must be a whole number, got {describe(value)}")
    return number


def _label(annotation: dict[str, Any]) -> int:
    return category_of(annotation.get("category_id", 1))


def _score(annotation: dict[str, Any]) -> float:
    score = annotation.get("score")
    try:
        number = float(score) if isinstance(score, (int, float)) else math.nan
    except OverflowError:
        number = math.inf
    if isinstance(score, bool) or not math.isfinite(number):
        raise ValueError(f"score must be a finite number, got {describe(score)}")
    return number


def _mask(annotation: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    if "segmentation" not in annotation:
        raise ValueError("there is no segmentation")
    return decode_segmentation(annotation["segmentation"], size)
