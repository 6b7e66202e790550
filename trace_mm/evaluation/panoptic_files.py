"""Panoptic quality of one panoptic dataset against another: no config, no model."""

import logging
from dataclasses import replace
from pathlib import Path

from mmengine.logging import print_log

from trace_mm.evaluation.panoptic_dataset import PanopticDataset, PanopticImage
from trace_mm.evaluation.panoptic_quality import (
    PanopticScores,
    SegmentCounts,
    mean_image_quality,
    panoptic_quality,
    sum_counts,
)
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.runs.pool import ordered_map
from trace_mm.runs.progress import watched

_Pair = tuple[PanopticImage, PanopticImage]


def score_panoptic_files(
    truth: str | Path,
    truth_folder: str | Path,
    predicted: str | Path,
    predicted_folder: str | Path,
    workers: int = 0,
    partial: bool = False,
    progress: bool = False,
) -> PanopticScores:
    """Score predictions, or pseudo labels, against ground truth; both are COCO panoptic files.

    Images belong together if their file names have the same stem, categories if they have the same
    name; ids and order do not matter. Predicted images that the ground truth does not have are not
    looked at.

    Args:
        truth: JSON file of the ground truth.
        truth_folder: of its PNGs.
        predicted: JSON file of what is scored. It may lack ``images`` and ``categories``, as what
            mmdet writes does; then the file names of PNGs and the ids of categories must be those
            of the ground truth.
        predicted_folder: of its PNGs.
        workers: processes to count in; 0 means this one. The scores do not depend on it.
        partial: score only images that were predicted. Without it, all segments of the others are
            missed, with a warning.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not as it should be, names of categories differ, two images have
            the same stem, or no image is in both.
    """
    true = PanopticDataset.read(truth, truth_folder)
    found = PanopticDataset.read(predicted, predicted_folder, complete=False)
    _check_crowds(true)
    pairs, missing = _pair(true, found)
    told = f"{len(missing)} of {len(true.images)} images of {true.path} are not in {found.path}"
    if missing and not partial:
        _warn(f"{told}; all of their segments count as missed")
    elif 2 * len(missing) > len(true.images):
        _warn(f"{told}; they are not scored")
    others = len(found.images) - len(pairs)
    if 2 * others > len(found.images):
        _warn(
            f"{others} of {len(found.images)} images of {found.path} have no name as in "
            f"{true.path} and are not scored"
        )
    counts = _count_all(pairs, workers, progress)
    if not partial:
        counts += [image.missed() for image in missing]
    scores = panoptic_quality(sum_counts(counts), true.things)
    return replace(scores, by_image=mean_image_quality(counts, true.things))


def _check_crowds(true: PanopticDataset) -> None:
    """Refuse ground truth in which nothing can be found."""
    crowds = [
        number in image.crowds for image in true.images.values() for number in image.categories
    ]
    if all(crowds):
        raise ValueError(
            f"{true.path}: none of its {len(crowds)} segments can be scored: all are crowds "
            f"(iscrowd 1)"
        )


def _warn(text: str) -> None:
    print_log(text, "current", logging.WARNING)


def _pair(true: PanopticDataset, found: PanopticDataset) -> tuple[list[_Pair], list[PanopticImage]]:
    """Pairs of true and predicted image, and the true images that were not predicted."""
    by_stem = all(_stems_differ(dataset) for dataset in (true, found))
    predicted = _by_name(found, by_stem)
    categories = _category_map(true, found)
    pairs, missing = [], []
    for stem, image in _by_name(true, by_stem).items():
        if stem in predicted:
            pairs.append((image, _with_categories(predicted[stem], categories, found)))
        else:
            missing.append(image)
    if not pairs:
        raise ValueError(f"{found.path}: no image has a name as in {true.path}")
    return pairs, missing


def _stems_differ(dataset: PanopticDataset) -> bool:
    return len({image.stem for image in dataset.images.values()}) == len(dataset.images)


def _by_name(dataset: PanopticDataset, by_stem: bool) -> dict[str, PanopticImage]:
    """Images by their stem, or by their whole path without suffix."""
    images: dict[str, PanopticImage] = {}
    for image in dataset.images.values():
        name = image.stem if by_stem else image.name
        if name in images:
            raise ValueError(f"{dataset.path}: two images are called {name!r}")
        images[name] = image
    return images


def _category_map(true: PanopticDataset, found: PanopticDataset) -> dict[int, int]:
    """The ground truth's category id of each predicted one that it has."""
    if not found.names:
        return {number: number for number in true.names}
    ids = true.category_ids()
    return {number: ids[name] for number, name in found.names.items() if name in ids}


def _with_categories(
    image: PanopticImage, categories: dict[int, int], found: PanopticDataset
) -> PanopticImage:
    """The image with categories of the ground truth."""
    unknown = sorted({key for key in image.categories.values() if key not in categories})
    if unknown:
        named = [found.names.get(key, key) for key in unknown]
        raise ValueError(
            f"{found.path}: {image.stem}: the ground truth has no such categories: {named}"
        )
    mapped = {number: categories[key] for number, key in image.categories.items()}
    return replace(image, categories=mapped)


def _count_all(pairs: list[_Pair], workers: int, progress: bool) -> list[dict[int, SegmentCounts]]:
    counts = ordered_map(_count, pairs, workers)
    return list(watched(counts, len(pairs), progress, "score"))


def _count(pair: _Pair) -> dict[int, SegmentCounts]:
    true, predicted = pair
    ids = read_panoptic_png(predicted.png, predicted.size)  # (H, W)
    try:
        return true.count(ids, predicted.categories)
    except ValueError as error:
        raise ValueError(f"{predicted.png}: {error}") from error
