"""The annotations of one image in COCO's JSON, as masks."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trace_mm.files.coco_file import CocoAnnotation, CocoFile
from trace_mm.files.json_values import as_flag
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.base import BadMaskError, MaskStack, OnBad

_GLANCES = 32


def read_annotations(
    annotations: Sequence[CocoAnnotation],
    size: tuple[int, int],
    scored: bool,
    where: str,
    on_bad: OnBad | None,
) -> InstanceMasks:
    """The masks of one image's annotations.

    Only ``segmentation``, ``category_id`` and ``score`` are looked at; ``bbox``, ``area``,
    ``width``, ``height`` and ``id`` are wrong in some files. Without a category it is 1.

    Args:
        annotations: without crowds, see :func:`without_crowds`.
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
    for annotation in annotations:
        try:
            mask, label = annotation.mask(size), annotation.category_id
            score = annotation.score if scored else None
        except ValueError as error:
            bad = BadMaskError(str(error))
            if on_bad is None:
                raise bad from error
            on_bad(bad)
        else:
            stack.add(mask, 1 if label is None else label, score)
    return stack.instances(scored)


def without_crowds(
    annotations: Sequence[CocoAnnotation], only_crowds: bool, crowds: str, on_bad: OnBad | None
) -> list[CocoAnnotation]:
    """The annotations that stand for one instance each.

    Args:
        annotations: of one image.
        only_crowds: whether their file has no others; see :attr:`CocoFile.only_crowds`.
        crowds: see :class:`trace_mm.refinement.readers.MaskReader`.
        on_bad: called for each whose ``iscrowd`` cannot be read.

    Raises:
        BadMaskError: if there is such a one and no ``on_bad``.
    """
    kept = []
    for annotation in annotations:
        try:
            crowd = annotation.crowd and (crowds == "skip" or not only_crowds)
        except ValueError as error:
            if on_bad is None:
                raise BadMaskError(str(error)) from error
            on_bad(BadMaskError(str(error)))
        else:
            if crowds == "keep" or not crowd:
                kept.append(annotation)
    return kept


def crowd_notes(path: Path, files: Sequence[CocoFile], crowds: str) -> list[str]:
    """What to tell of the crowd regions of some files.

    Args:
        path: of the files, for messages.
        files: all of them.
        crowds: see :class:`trace_mm.refinement.readers.MaskReader`.

    Raises:
        ValueError: if all annotations would be left out; says how to change it.
    """
    taken = [file.crowd_note for file in files if file.crowd_note and crowds == "auto"]
    notes = [f"{note} (--crowds skip leaves them out)" for note in taken]
    total = left_out = 0
    for file in files:
        flags = [as_flag(one.content.get("iscrowd")) for one in file.annotations(lambda bad: None)]
        total += len(flags)
        left_out += sum(map(bool, flags)) if crowds == "skip" or not file.only_crowds else 0
    if not left_out or crowds == "keep":
        return notes
    note = (
        f"{path}: {left_out} of {total} annotations are crowds (iscrowd 1), which are no "
        f"instances, and left out; --crowds keep takes them as masks"
    )
    if left_out == total:
        raise ValueError(note)
    return [*notes, note]


def crowd_note_of_image(path: Path, file: CocoFile, crowds: str) -> str | None:
    """What to tell of the crowd regions of a file of one image; the same for all of a folder.

    Args:
        path: of the folder, for messages.
        file: one of its files.
        crowds: see :class:`trace_mm.refinement.readers.MaskReader`.

    Returns:
        None if there is no crowd, or crowds are kept as the caller asked for.
    """
    annotations = file.annotations(lambda bad: None)
    if crowds == "keep" or not any(as_flag(one.content.get("iscrowd")) for one in annotations):
        return None
    if crowds == "auto" and file.only_crowds:
        return (
            f"{path}: where all annotations of an image are crowds (iscrowd 1), they are taken as "
            f"instances (--crowds skip leaves them out)"
        )
    return (
        f"{path}: annotations that are crowds (iscrowd 1), which are no instances, are left out; "
        f"--crowds keep takes them as masks"
    )


def scores_count(annotations: Iterable[CocoAnnotation]) -> bool:
    """Whether the scores of a source say anything.

    They do not if an annotation has none (CutLER's self-training files mix detections with masks of
    MaskCut) or all are exactly 1 (ProMerge writes this constant for evaluation tools).
    """
    differ = False
    for annotation in annotations:
        if "segmentation" in annotation.content:
            score = annotation.content.get("score")
            if score is None:
                return False
            differ = differ or score != 1
    return differ


def first_annotations(content: Any) -> list[dict[str, Any]]:
    """Some annotations of a file or list, to see what they look like; [] if it is no such thing."""
    annotations = content.get("annotations") if isinstance(content, dict) else content
    some = annotations[:_GLANCES] if isinstance(annotations, list) else []
    return [annotation for annotation in some if isinstance(annotation, dict)]
