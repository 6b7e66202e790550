"""Readers of COCO's JSON: annotation files, lists of results, and what unsupervised methods make.

All read the same: what a file holds decides, not which of these formats it is said to be.
"""

from dataclasses import dataclass

from trace_mm.files import SizeEvidence, coco_evidence
from trace_mm.files.coco_file import CocoAnnotation, CocoFile, CocoImage
from trace_mm.files.json_values import as_integer
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.annotations import (
    crowd_notes,
    first_annotations,
    read_annotations,
    scores_count,
    without_crowds,
)
from trace_mm.refinement.readers.base import MaskReader, MaskRecord, OnBad
from trace_mm.refinement.readers.source import MaskSource


class CocoReader(MaskReader):
    """COCO instances: an annotation file with ``images``, or a list of results; LVIS as well.

    A list of results has no file names: its images are found by their ids. A folder of such files
    is read as one; ids count within a file. See ``MaskReader``.
    """

    suffix = ".json"

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether there are annotations with ``image_id`` and ``segmentation``, or none at all."""
        content = source.sample_content
        annotations = content.get("annotations") if isinstance(content, dict) else content
        none = isinstance(content, dict) and "annotations" in content and annotations is None
        return (
            none
            or annotations == []
            or any(
                {"image_id", "segmentation"} <= entry.keys() for entry in first_annotations(content)
            )
        )

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        paths = [source.path / name for name in source.files(".json")]
        if source.is_folder and not paths:
            raise ValueError(f"{source.path}: there is no JSON file in this folder")
        bad: list[MaskRecord] = []
        files = []
        for path in paths:
            try:
                files.append(_checked(CocoFile.read(path)))
            except ValueError as error:  # one of many, such as a job that was killed has left
                bad.append(MaskRecord(None, None, None, bad=str(error)))
        if not source.is_folder:
            files.append(_checked(CocoFile(source.content, str(source.path))))
        for file in files:
            self.categories.update(file.category_names())
        self._scored = scores_count(one for file in files for one in file.annotations(_ignore))
        self.notes += crowd_notes(self.path, files, self.crowds)
        return [record for file in files for record in _records(file)] + bad

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        content: CocoMasks = record.content
        annotations = without_crowds(content.annotations, content.only_crowds, self.crowds, on_bad)
        where = f"{content.file}: {record.name}"
        return read_annotations(annotations, size, self._scored, where, on_bad)

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        content: CocoMasks = record.content
        stated = None if content.image is None else content.image.stated_size
        return coco_evidence((one.content for one in content.annotations), stated)


class MaskCutReader(CocoReader):
    """MaskCut: one category "fg", no scores; widths and heights swapped; names ``folder/image``.

    MaskCut lists the first of several images of one name only: masks of the others are bad records.
    A folder holds the files of several jobs, before ``merge_jsons.py``. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the only category is called "fg", and masks have no scores."""
        return super().recognizes(source) and _is_foreground(source, scored=False)


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


@dataclass(frozen=True)
class CocoMasks:
    """What a COCO file has of one image.

    Attributes:
        file: its name.
        only_crowds: whether it has nothing else; see :attr:`CocoFile.only_crowds`.
        image: its entry of ``images``, whose size some tools swap; None if it has none.
        annotations: in the order of the file.
    """

    file: str
    only_crowds: bool
    image: CocoImage | None
    annotations: list[CocoAnnotation]


def _checked(file: CocoFile) -> CocoFile:
    """A file that has annotations, and perhaps images, as lists."""
    return file.require("annotations", *(["images"] if "images" in file.content else []))


def _records(file: CocoFile) -> list[MaskRecord]:
    """Images in the order of the file, then those it does not list, then what is bad."""
    bad: list[ValueError] = []
    images = file.images(bad.append)
    groups, only_crowds = file.by_image(None, bad.append), bool(file.only_crowds)
    records = []
    for number, image in images.items():
        located = groups.pop(number, [])
        cause = None
        try:
            name: str | None = image.name
        except ValueError as error:
            name, cause = None, str(error)
        content = CocoMasks(file.name, only_crowds, image, located)
        records.append(MaskRecord(name, number, content, cause, empty=not located))
    for number, located in groups.items():
        cause = f"{file.name}: image id {number!r}: it has no sound entry in 'images'"
        content = CocoMasks(file.name, only_crowds, None, located)
        listed = file.content.get("images")
        records.append(MaskRecord(None, number, content, cause if listed else None))
    return records + [MaskRecord(None, None, None, bad=str(error)) for error in bad]


def _ignore(error: ValueError) -> None:
    """Records say what is bad; here it only matters what is not."""


def _is_foreground(source: MaskSource, scored: bool) -> bool:
    """Whether "fg" is the only category of a file with images, and some masks have scores."""
    content = source.sample_content
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return False
    names = list(CocoFile(content, str(source.path)).category_names().values())
    has_scores = any("score" in entry for entry in first_annotations(content))
    return names == ["fg"] and has_scores == scored
