"""Labels for a detector's next round: what it is sure of, and of the old labels the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_utils

from trace_mm import __version__
from trace_mm.files import annotated_size, check_outputs, write_coco
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, CocoImage
from trace_mm.files.file_names import plain_name
from trace_mm.files.json_values import ImageId
from trace_mm.ops import merged_labels

CATEGORIES = [{"id": 1, "name": "object"}]
"""The one class of masks of anything."""


@dataclass(frozen=True)
class MergedLabels:
    """What became of two files of masks.

    Attributes:
        images: how many the labels list.
        predicted: how many masks the detector has found in them.
        kept: how many of these have the score.
        old: how many masks there were.
        old_kept: how many of these no kept one overlaps.
    """

    images: int
    predicted: int
    kept: int
    old: int
    old_kept: int

    def describe(self) -> str:
        """It in a line."""
        return (
            f"{self.images} images, {self.kept + self.old_kept} masks: {self.kept} of "
            f"{self.predicted} predictions, {self.old_kept} of {self.old} old ones"
        )


def merge_label_files(
    labels: Path,
    predictions: Path,
    out: Path,
    min_score: float = 0.7,
    max_overlap: float = 0.5,
) -> MergedLabels:
    """Write what a detector learns from in its next round of self-training, as CutLER does.

    Args:
        labels: COCO file of the masks that it has learned from; crowds are left out.
        predictions: its masks of the same images with scores: a COCO file, or a list of results.
        out: COCO file to write, whole or not at all. Predictions come first, with their scores.
        min_score: see :func:`trace_mm.ops.merged_labels`, also for the next.
        max_overlap: likewise.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one is not as it should be, the images are not the same, or no mask is left.
    """
    check_outputs(files=[out], read=[labels, predictions])
    old_file = CocoFile.read(labels).require("images", "annotations")
    new_file = CocoFile.read(predictions).require("annotations")
    images = old_file.images()
    _check_same_images(images, new_file, labels)
    old = {
        key: [one for one in found if not old_file.is_crowd(one)]
        for key, found in old_file.by_image(images).items()
    }
    new = new_file.by_image(images)
    counts = np.zeros(4, dtype=np.int64)  # predicted, kept, old, old that are kept
    merged: dict[ImageId, list[dict[str, Any]]] = {}
    for key, image in images.items():
        size = annotated_size([one.content for one in old[key] or new[key]], image.size)
        merged[key], counted = _merge_image(old[key], new[key], size, min_score, max_overlap)
        counts += counted
    if not counts[1] + counts[3]:
        raise ValueError(f"{labels}, {predictions}: no mask is left")
    write_coco(
        out,
        {
            "description": f"labels of a round of self-training (trace_mm {__version__})",
            "min_score": min_score,
            "max_overlap": max_overlap,
        },
        _image_entries(images, merged),
        _annotations(merged),
        CATEGORIES,
    )
    return MergedLabels(len(images), *counts.tolist())


def _merge_image(
    old: list[CocoAnnotation],
    new: list[CocoAnnotation],
    size: tuple[int, int],
    min_score: float,
    max_overlap: float,
) -> tuple[list[dict[str, Any]], list[int]]:
    """The annotations of an image (H, W), without ids, and what was counted."""
    scores = np.array([_score(one) for one in new], dtype=np.float64)
    old_masks, new_masks = ([one.rle(size) for one in found] for found in (old, new))
    overlaps = _overlaps(new_masks, old_masks)
    kept, old_kept = merged_labels(scores, overlaps, min_score, max_overlap)
    entries = [
        {**_entry(mask), "score": score}
        for mask, score, keep in zip(new_masks, scores.tolist(), kept, strict=True)
        if keep
    ]
    entries += [_entry(mask) for mask, keep in zip(old_masks, old_kept, strict=True) if keep]
    return entries, [len(new), int(kept.sum()), len(old), int(old_kept.sum())]


def _overlaps(masks: list[dict[str, Any]], others: list[dict[str, Any]]) -> NDArray[np.float64]:
    """IoU of masks with each of others, as RLE: (K, L)."""
    if not masks or not others:
        return np.zeros((len(masks), len(others)))
    found: NDArray[np.float64] = mask_utils.iou(masks, others, [False] * len(others))
    return found


def _entry(rle: dict[str, Any]) -> dict[str, Any]:
    return {
        "category_id": CATEGORIES[0]["id"],
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
        "bbox": mask_utils.toBbox(rle).tolist(),
        "area": int(mask_utils.area(rle)),
        "iscrowd": 0,
    }


def _score(annotation: CocoAnnotation) -> float:
    if annotation.score is None:
        raise annotation.bad("there is no score")
    return annotation.score


def _check_same_images(
    images: dict[ImageId, CocoImage], predictions: CocoFile, labels: Path
) -> None:
    """Refuse predictions of other images, whose ids may be the same.

    Raises:
        ValueError: if an image is called otherwise; names both files.
    """
    if predictions.is_results:
        return
    for key, image in predictions.images().items():
        if key not in images or plain_name(images[key].name) != plain_name(image.name):
            raise image.bad(f"the image {key!r} is not that of {labels}")


def _image_entries(
    images: dict[ImageId, CocoImage], merged: dict[ImageId, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """Images with the sizes that their masks have: some tools write them wrongly."""
    for key, image in images.items():
        size = merged[key][0]["segmentation"]["size"] if merged[key] else image.size
        yield {"id": key, "file_name": image.name, "height": size[0], "width": size[1]}


def _annotations(merged: dict[ImageId, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    number = 0
    for key, entries in merged.items():
        for entry in entries:
            number += 1
            yield {"id": number, "image_id": key, **entry}
