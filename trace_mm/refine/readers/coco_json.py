"""Readers of COCO's JSON: annotation files, lists of results, and what unsupervised methods make.

All read the same: what a file holds decides, not which of these formats it is said to be.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trace_mm.files.json_values import as_integer
from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.readers.annotations import (
    Located,
    category_names,
    first_annotations,
    id_of,
    image_name,
    read_annotations,
    scores_count,
)
from trace_mm.refine.readers.base import MaskReader, MaskRecord, OnBad
from trace_mm.refine.readers.source import MaskSource, describe, load_json
from trace_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class CocoReader(MaskReader):
    """COCO instances: an annotation file with ``images``, or a list of results; LVIS as well.

    A list of results has no file names: its images are found by their ids. A folder of such files
    is read as one; ids count within a file. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether there are annotations with ``image_id`` and ``segmentation``, or none at all."""
        content = source.sample_content
        annotations = content.get("annotations") if isinstance(content, dict) else content
        return annotations == [] or any(
            {"image_id", "segmentation"} <= entry.keys() for entry in first_annotations(content)
        )

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        files = [source.path / name for name in source.files(".json")]
        if source.is_folder and not files:
            raise ValueError(f"{source.path}: there is no JSON file in this folder")
        bad: list[MaskRecord] = []
        indices = []
        for file in files:
            try:
                indices.append(_FileIndex(file, load_json(file)))
            except ValueError as error:  # one of many, such as a job that was killed has left
                bad.append(MaskRecord(None, None, None, bad=str(error)))
        if not source.is_folder:
            indices.append(_FileIndex(source.path, source.content))
        for index in indices:
            self.categories.update(index.categories)
        self._scored = scores_count(entry for index in indices for entry in index.annotations)
        return [record for index in indices for record in index.records()] + bad

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        file, annotations = record.content
        where = f"{file}: {record.name}"
        return read_annotations(annotations, size, self._scored, where, on_bad)


@TASK_UTILS.register_module()
class MaskCutReader(CocoReader):
    """MaskCut: one category "fg", no scores; widths and heights swapped; names ``folder/image``.

    MaskCut lists the first of several images of one name only: masks of the others are bad records.
    A folder holds the files of several jobs, before ``merge_jsons.py``. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the only category is called "fg", and masks have no scores."""
        return super().recognizes(source) and _is_foreground(source, scored=False)


@TASK_UTILS.register_module()
class ProMergeReader(CocoReader):
    """ProMerge: a list of results with category 1.0 and the constant score 1.0, which is none.

    See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the file is a list with category ids that are written 1.0."""
        return isinstance(source.sample_content, list) and any(
            isinstance(entry.get("category_id"), float) and entry.get("score") == 1
            for entry in first_annotations(source.sample_content)
        )


@TASK_UTILS.register_module()
class CutlerReader(CocoReader):
    """CutLER: the list of results of its detector, or the file of its self-training.

    The latter has widths and heights swapped and ``area`` = width x height of the box; its scores
    do not count, since not all masks have one. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether it is a list of boxes with masks and scores, or the masks of "fg" have scores."""
        if not super().recognizes(source):
            return False
        if isinstance(source.sample_content, dict):
            return _is_foreground(source, scored=True)
        return any(
            {"bbox", "score"} <= entry.keys() and as_integer(entry.get("category_id")) == 1
            for entry in first_annotations(source.sample_content)
        )


@dataclass
class _FileIndex:
    """What one JSON file holds, by image.

    Raises:
        ValueError: if it is not a file of this kind as a whole.
    """

    file: Path
    content: Any
    annotations: list[Any] = field(init=False)
    categories: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        content = {"annotations": self.content} if isinstance(self.content, list) else self.content
        if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
            raise ValueError(
                f"{self.file}: neither a list of results nor an object with a list 'annotations'"
            )
        images = content.get("images") or []
        if not isinstance(images, list):
            raise ValueError(f"{self.file}: 'images' must be a list, got {describe(images)}")
        self.images: list[Any] = images
        self.annotations = content["annotations"]
        self.categories = category_names(content.get("categories"))

    def records(self) -> list[MaskRecord]:
        """Images in the order of the file, then those it does not list, then what is bad."""
        bad: list[str] = []
        names = self._names(bad)
        groups: dict[int | str, list[Located]] = {number: [] for number in names}
        for position, annotation in enumerate(self.annotations):
            number = id_of(annotation.get("image_id")) if isinstance(annotation, dict) else None
            if number is None:
                bad.append(f"annotations[{position}]: it has no image_id: {describe(annotation)}")
            else:
                groups.setdefault(number, []).append((position, annotation))
        return [
            self._record(number, names.get(number), located)
            for number, located in groups.items()
            if located
        ] + [MaskRecord(None, None, None, bad=f"{self.file}: {cause}") for cause in bad]

    def _names(self, bad: list[str]) -> dict[int | str, str]:
        """File names by image id; "" where the names of an id differ."""
        names: dict[int | str, str] = {}
        for position, image in enumerate(self.images):
            number = id_of(image.get("id")) if isinstance(image, dict) else None
            name = image_name(image) if isinstance(image, dict) else None
            if number is None or name is None:
                bad.append(f"images[{position}]: it has no id or no name: {describe(image)}")
            else:  # merged files repeat images
                names[number] = name if names.get(number, name) == name else ""
        return names

    def _record(self, number: int | str, name: str | None, located: list[Located]) -> MaskRecord:
        bad = None
        if self.images and not name:
            cause = "several names" if name == "" else "no entry in 'images'"
            bad = f"{self.file}: image id {number!r}: it has {cause}"
        return MaskRecord(name or None, number, (self.file, located), bad)


def _is_foreground(source: MaskSource, scored: bool) -> bool:
    """Whether "fg" is the only category of a file with images, and some masks have scores."""
    content = source.sample_content
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return False
    names = list(category_names(content.get("categories")).values())
    has_scores = any("score" in entry for entry in first_annotations(content))
    return names == ["fg"] and has_scores == scored
