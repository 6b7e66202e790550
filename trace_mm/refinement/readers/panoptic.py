"""Reader of COCO's panoptic format, as U2Seg and COCO itself write it."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from trace_mm.files import SizeEvidence, map_sizes
from trace_mm.files.coco_file import CocoImage
from trace_mm.files.json_values import ImageId, as_flag, as_id, as_whole_number
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.files.panoptic_file import (
    PanopticAnnotation,
    PanopticFile,
    PanopticPngs,
    PanopticSegment,
)
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.annotations import first_annotations
from trace_mm.refinement.readers.base import (
    BadMaskError,
    MaskReader,
    MaskRecord,
    MaskStack,
    OnBad,
    as_bad_masks,
)
from trace_mm.refinement.readers.source import MaskSource


@dataclass(frozen=True)
class PanopticMasks:
    """What a panoptic file has of one image.

    Attributes:
        image: its entry of ``images``; None if it has none.
        annotation: its segments; None if it has none.
    """

    image: CocoImage | None
    annotation: PanopticAnnotation | None


class U2SegReader(MaskReader):
    """U2Seg and COCO panoptic: a JSON file, and an RGB PNG an image with ids R + 256 G + 65536 B.

    The PNGs lie in the folder that is called like the JSON file without its suffix, or beside the
    file. Only things are read: segments whose category has ``isthing`` 1, or where this is not
    stated; stuff is no instance, and U2Seg writes ``area`` 0 and an empty ``bbox`` for it. Segments
    that no pixel shows are left out, and crowds as ``crowds`` says. See ``MaskReader``.
    """

    suffix = ".json"

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether annotations have ``segments_info``."""
        annotations = [] if source.is_folder else first_annotations(source.sample_content)
        return any("segments_info" in entry for entry in annotations)

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        if source.is_folder:
            raise ValueError(f"{source.path}: not a JSON file of COCO's panoptic format")
        file = PanopticFile(source.content, str(source.path)).require("annotations")
        folder = source.path.with_suffix("")
        self._pngs = PanopticPngs(folder if folder.is_dir() else source.path.parent)
        self.categories = file.category_names()
        self._stuff = file.stuff()
        self._take_crowds = self._decide_on_crowds(file)
        bad: list[ValueError] = []
        images = file.images(lambda error: None)  # names of PNGs do as well
        records, seen = [], set()
        for annotation in file.maps(bad.append):
            record = _record(annotation, images)
            seen.add(record.image_id)
            records.append(record)
        records += [
            MaskRecord(image.file_name, number, PanopticMasks(image, None), empty=True)
            for number, image in images.items()
            if number not in seen and image.file_name is not None
        ]
        return records + [MaskRecord(None, None, None, bad=str(error)) for error in bad]

    @property
    def folders(self) -> list[Path]:
        """The folder of the PNGs."""
        return [self._pngs.folder]

    def _decide_on_crowds(self, file: PanopticFile) -> bool:
        """Whether crowds are masks; adds a note if some are left out, or all are taken.

        Raises:
            ValueError: if all things would be left out.
        """
        flags = [
            as_flag(segment.content.get("iscrowd"))
            for annotation in file.maps(lambda error: None)
            for segment in _segments(annotation)
            if as_whole_number(segment.content.get("category_id")) not in self._stuff
        ]
        crowds, total = sum(map(bool, flags)), len(flags)
        if self.crowds == "keep" or not crowds:
            return True
        told = f"{file.name}: {crowds} of {total} segments of things are crowds (iscrowd 1)"
        if crowds == total and self.crowds == "auto":
            self.notes.append(
                f"{told}; they are taken as instances (--crowds skip leaves them out)"
            )
            return True
        told = f"{told}, which are no instances, and left out; --crowds keep takes them as masks"
        if crowds == total:
            raise ValueError(told)
        self.notes.append(told)
        return False

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        annotation: PanopticAnnotation | None = record.content.annotation
        if annotation is None:
            return MaskStack(0, size).instances()
        things: dict[int, int] = {}

        def tell(error: ValueError) -> None:
            if on_bad is None:
                raise BadMaskError(str(error)) from error
            on_bad(BadMaskError(str(error)))

        for segment in annotation.segments(tell):
            try:
                value, label = segment.id, segment.category()
                is_mask = label not in self._stuff and (self._take_crowds or not segment.crowd)
            except ValueError as error:
                tell(error)
                continue
            if is_mask:
                things[value] = label
        with as_bad_masks():
            ids = read_panoptic_png(self._pngs.path(annotation.file_name), size)
        present = set(np.unique(ids).tolist())
        shown = [value for value in things if value in present]
        try:
            stack = MaskStack(len(shown), size)
        except ValueError as error:
            raise BadMaskError(f"{self.path}: {record.name}: {error}") from error
        for value in shown:
            stack.add(ids == value, things[value])
        return stack.instances()

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        annotation: PanopticAnnotation | None = record.content.annotation
        if annotation is None:
            return SizeEvidence()
        try:
            path = self._pngs.path(annotation.file_name)
        except ValueError:
            return SizeEvidence()
        return SizeEvidence(map_sizes(path))


def _record(annotation: PanopticAnnotation, images: dict[ImageId, CocoImage]) -> MaskRecord:
    number, bad = as_id(annotation.content.get("image_id")), None
    image = images.get(number) if number is not None else None
    name = image.file_name if image is not None else None
    try:
        stem = PurePosixPath(annotation.file_name.replace("\\", "/")).stem
        name = stem if name is None else name
        list(annotation.segments(lambda error: None))
    except ValueError as error:
        bad = str(error)
    return MaskRecord(name, number, PanopticMasks(image, annotation), bad)


def _segments(annotation: PanopticAnnotation) -> list[PanopticSegment]:
    try:
        return list(annotation.segments(lambda error: None))
    except ValueError:
        return []
