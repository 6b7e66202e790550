"""Score a file of instance masks against a file of true ones, whose ids may be others."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from trace_mm.console import note
from trace_mm.evaluation.instance_ground_truth import InstanceGroundTruth
from trace_mm.evaluation.instance_scores import InstanceScores, ScoringSettings, score_instances
from trace_mm.files.coco_file import CocoFile
from trace_mm.files.file_names import plain_name
from trace_mm.files.json_values import ImageId, as_whole_number


def score_instance_files(
    result: str | Path,
    truth: str | Path,
    *,
    protocol: str = "coco",
    iou_type: str = "segm",
    max_detections: Sequence[int] = (1, 10, 100),
    partial: bool = False,
    classes: bool = False,
    image_pq: bool = False,
) -> tuple[InstanceScores, ScoringSettings]:
    """Class-agnostic scores of a file of detections.

    Images belong together if their file names have the same stem, as files number them in
    their own ways. A list of results, or a file without names of images, goes by ids.

    Args:
        result: COCO annotation file with scores, or a list of COCO results.
        truth: COCO annotation file.
        protocol: see :func:`trace_mm.evaluation.evaluate_instances`.
        iou_type: likewise.
        max_detections: likewise.
        partial: score only images that the result lists; of a list of results, those that have
            detections.
        classes: see :func:`trace_mm.evaluation.evaluate_instances`. Where both files name their
            classes, these belong together by name, else by id.
        image_pq: likewise.

    Returns:
        Scores, and how they were counted.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not as it should be, or no image is in both; names it.
    """
    settings = ScoringSettings(
        protocol, iou_type, tuple(max_detections), classes=classes, image_pq=image_pq
    )
    true_file = CocoFile.read(truth)
    true = InstanceGroundTruth(true_file.content, str(truth), settings.boxes)
    found = CocoFile.read(result).require("annotations")
    ids = _ids_by_name(found, true_file)
    if ids is None:
        detections = [dict(one.content) for one in found.annotations()]
        seen = {true.key_of(one.image) for one in found.annotations()}
    else:
        located = found.by_image(found.images())
        detections = [
            {**one.content, "image_id": number}
            for key, number in ids.items()
            for one in located[key]
        ]
        seen = set(ids.values())
    if classes:
        detections = _with_classes(detections, found, true)
    missing = len(true.sizes) - len(seen)
    if missing:
        told = "are not scored" if partial else "count as images without detections"
        note(f"{missing} of {len(true.sizes)} images of {truth} are not in {result}: they {told}")
    scores = score_instances(true, detections, settings, seen if partial else None)
    return scores, settings


def _with_classes(
    detections: list[dict[str, Any]], found: CocoFile, true: InstanceGroundTruth
) -> list[dict[str, Any]]:
    """Detections with the truth's classes, where the file of both names them alike."""
    names = found.category_names()
    ids = {name: key for key, name in true.names.items()}
    if len(ids) < len(true.names) or not {*names.values()} & ids.keys():
        return detections
    other = max(true.names) + 1  # of classes that the truth does not have
    known = {key: ids.get(name, other) for key, name in names.items()}
    changed = []
    for one in detections:
        category = as_whole_number(one.get("category_id"))
        if category is not None:
            one = {**one, "category_id": known.get(category, other)}
        changed.append(one)
    return changed


def _ids_by_name(found: CocoFile, true: CocoFile) -> dict[ImageId, ImageId] | None:
    """The truth's id of each image of a result that both have; None where there are no names.

    Raises:
        ValueError: if no image is in both, or a name is there twice.
    """
    mine, theirs = _names(found), _names(true)
    if mine is None or theirs is None:
        return None
    if all(len({*map(_stem, names.values())}) == len(names) for names in (mine, theirs)):
        mine, theirs = ({key: _stem(name) for key, name in one.items()} for one in (mine, theirs))
    for file, names in ((found, mine), (true, theirs)):
        if len({*names.values()}) < len(names):
            raise ValueError(f"{file.name}: two images have the same name")
    ids = {name: key for key, name in theirs.items()}
    matched = {key: ids[name] for key, name in mine.items() if name in ids}
    if not matched:
        one, other = next(iter(mine.values())), next(iter(theirs.values()))
        raise ValueError(
            f"{found.name}: no image has a name as in {true.name}: {one!r} is none like {other!r}"
        )
    if len(matched) < len(mine):
        others = len(mine) - len(matched)
        note(f"{others} of {len(mine)} images of {found.name} are not in {true.name}: not scored")
    return matched


def _names(file: CocoFile) -> dict[ImageId, str] | None:
    """Names of images by id, without suffix; None if one has none."""
    names = {key: image.file_name for key, image in file.images().items()}
    known = {key: plain_name(name) for key, name in names.items() if name is not None}
    return known if known and len(known) == len(names) else None


def _stem(name: str) -> str:
    return PurePosixPath(name).name
