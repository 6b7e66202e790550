"""Masks as they stand in records: COCO annotations without ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from trace_mm.files.coco import decode_rle, instance_annotation
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.runs.records import Record

_DIGITS = 6  # of scores


def annotations_of(instances: InstanceMasks) -> list[dict[str, Any]]:
    """COCO annotations of masks, in their order, without ids; ``score`` is 1 if they have none."""
    scores = np.ones(len(instances)) if instances.scores is None else instances.scores
    return [
        {**instance_annotation(mask, label), "score": round(score, _DIGITS)}
        for mask, label, score in zip(
            instances.masks, instances.labels.tolist(), scores.tolist(), strict=True
        )
    ]


def instances_of(annotations: Sequence[dict[str, Any]], size: tuple[int, int]) -> InstanceMasks:
    """What :func:`annotations_of` was given, at a size (H, W), with scores."""
    masks = [decode_rle(one["segmentation"], size) for one in annotations]
    labels = np.array([one["category_id"] for one in annotations], dtype=np.int64)
    scores = np.array([one["score"] for one in annotations], dtype=np.float64)
    return InstanceMasks(np.array(masks, dtype=bool).reshape(-1, *size), labels, scores)


def numbered_annotations(done: Iterable[tuple[int, Record]]) -> Iterator[dict[str, Any]]:
    """The annotations in the records of images, with ids from 1 up, and those of the images."""
    count = 0
    for number, record in done:
        for annotation in record.result["annotations"]:
            count += 1
            yield {"id": count, "image_id": number, **annotation}
