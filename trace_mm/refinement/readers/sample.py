"""Masks of single images in COCO's JSON, which come with the images."""

from pathlib import Path

from trace_mm.files.coco_file import CocoFile
from trace_mm.files.json_file import read_json
from trace_mm.files.members import Member
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.annotations import (
    crowd_note_of_image,
    read_annotations,
    scores_count,
    without_crowds,
)
from trace_mm.refinement.readers.base import CROWDS, MaskRecord, OnBad
from trace_mm.refinement.readers.coco_json import CocoMasks, CocoReader


class SampleReader(CocoReader):
    """The annotations of one image each: a list, or an object ``annotations``, as in SA-1B.

    Ids of images and annotations do not matter. Whether scores count, and crowds are taken as
    masks, is decided image by image. See ``MaskReader``.

    Args:
        crowds: what becomes of crowd regions.

    Raises:
        ValueError: if there is no such choice.
    """

    def __init__(self, crowds: str = "auto") -> None:
        if crowds not in CROWDS:
            raise ValueError(f"crowds must be one of {', '.join(CROWDS)}, got {crowds!r}")
        self.path, self.allow_pickle, self.crowds = Path("masks"), False, crowds
        self.categories, self.notes, self._records = {}, [], []

    def record(self, file: Member) -> MaskRecord:
        """What is read of one image's file."""
        try:
            content = CocoFile(read_json(file), str(file)).require("annotations")
            masks = CocoMasks(
                content.name, bool(content.only_crowds), None, list(content.annotations())
            )
        except ValueError as error:
            return MaskRecord(str(file), None, None, bad=str(error))
        return MaskRecord(str(file), None, masks, empty=not masks.annotations)

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        content: CocoMasks = record.content
        file = CocoFile([one.content for one in content.annotations], content.file)
        note = crowd_note_of_image(self.path, file, self.crowds)
        if note is not None:
            self.notes.append(note)
        scored = scores_count(content.annotations)
        annotations = without_crowds(content.annotations, content.only_crowds, self.crowds, on_bad)
        return read_annotations(annotations, size, scored, content.file, on_bad)
