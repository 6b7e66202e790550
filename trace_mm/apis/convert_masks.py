"""Masks in any format that is read, written in the formats of labelling and training programs."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from trace_mm.exporters import MaskExporter, exporter_of
from trace_mm.exporters.base import MARKER_FILE
from trace_mm.files import check_outputs, read_photo
from trace_mm.files.store_paths import FilePath, unpacked_path
from trace_mm.files.whole_folders import check_replaceable
from trace_mm.jobs.places import local_places
from trace_mm.jobs.refinement_inputs import RefinementInputs, find_inputs
from trace_mm.jobs.refinement_summary import mostly_left_out, unturned
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers import BadMaskError, MaskReader, MaskRecord, open_masks
from trace_mm.runs.group import note_once
from trace_mm.runs.packed import PackedStrings
from trace_mm.runs.progress import watched
from trace_mm.runs.summary import RunSummary


@dataclass(frozen=True, repr=False)
class ConversionSummary(RunSummary):
    """What a conversion did.

    Attributes:
        formats: that were written.
        masks: how many.
        notes: masks and records that were left out, by the image's name or the record's number.
        empty: how many of the images have no mask.
        others: how many images of the folder the masks do not mention.
    """

    formats: Sequence[str] = ()
    masks: int = 0
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    empty: int = 0
    others: int = 0

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        parts = [
            f"{self.masks} masks of {len(self.done)} images as {', '.join(self.formats)}",
            f"{len(self.failed)} images failed",
            f"{sum(map(len, self.notes.values()))} bad masks or records left out",
        ]
        if self.empty:
            parts.append(f"{self.empty} images without masks")
        if self.others:
            parts.append(f"{self.others} images in the folder that the masks do not mention")
        return [f"{', '.join(parts)}: {out}"]


def convert_masks(
    masks: str | os.PathLike[str],
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str],
    *,
    source_format: str = "auto",
    annotations: str | os.PathLike[str] | None = None,
    allow_pickle: bool = False,
    crowds: str = "auto",
    skip_bad: bool = False,
    photos: str = "copy",
    overwrite: bool = False,
    show_progress: bool = True,
) -> ConversionSummary:
    """Read masks and write each format as a folder ``<out>/<format>``, whole or not at all.

    Args:
        masks: file or folder, see :func:`trace_mm.refinement.open_masks`.
        images: folder of the images, local or of a store (``s3://bucket/photos``).
        out: folder to write.
        formats: of :func:`trace_mm.exporters.export_formats`.
        source_format: of the masks, or "auto".
        annotations: a COCO file whose ``images`` tell names and ids; None for none.
        allow_pickle: read files that may run code, see :func:`trace_mm.refinement.open_masks`.
        crowds: what becomes of crowd regions: "auto", "keep" or "skip".
        skip_bad: leave bad masks and records without an image out, and say so.
        photos: "copy", "link" or "none", for formats that want photos beside the masks.
        overwrite: replace what an earlier conversion has written.
        show_progress: draw a progress bar on stderr.

    Returns:
        What was done. Images that cannot be read are left out, and named there.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if a mask, format or option is bad, or something else is where results go.
        OSError: if a result cannot be written.
    """
    wanted = {name: exporter_of(name) for name in formats}
    if not wanted:
        raise ValueError("name a format to write")
    folders = {name: Path(out) / name for name in wanted}
    check_outputs(  # before anything is read
        folders=folders.values(), read=[annotations], searched=local_places(masks, images)
    )
    for folder in folders.values():
        check_replaceable(folder, MARKER_FILE, overwrite)
    reader = open_masks(masks, source_format, allow_pickle, crowds)
    inputs = find_inputs(reader, images, annotations, skip_bad)
    check_outputs(folders=folders.values(), read=reader.folders)
    for remark in inputs.notes:  # before the bar, which would be on the same line
        note_once(remark)
    conversion = _Conversion(reader, skip_bad)
    with ExitStack() as stack:
        exporters = [
            stack.enter_context(
                kind(folders[name], reader.categories, photos=photos, overwrite=overwrite)
            )
            for name, kind in wanted.items()
        ]
        for image in watched(_tasks(inputs), len(inputs.keys), show_progress):
            conversion.convert(image, exporters)
        conversion.check_some_left()
    remarks = [
        f"{name}: {note}"
        for name, exporter in zip(wanted, exporters, strict=True)
        for note in exporter.notes
    ]
    return conversion.summary([*wanted], inputs, remarks)


@dataclass(frozen=True)
class _Task:
    """An image, or a record that has none: then the record says why."""

    key: str
    path: FilePath
    record: MaskRecord | str
    number: int


def _tasks(inputs: RefinementInputs) -> Iterator[_Task]:
    for key, path, record, number in zip(
        inputs.keys, inputs.paths, inputs.records, inputs.ids, strict=True
    ):
        yield _Task(key, unpacked_path(path), record, number)


class _Conversion:
    """What is done image by image, and what came of it."""

    def __init__(self, reader: MaskReader, skip_bad: bool) -> None:
        self._reader, self._skip_bad = reader, skip_bad
        self._done = PackedStrings()
        self._failed: dict[str, str] = {}
        self._notes: dict[str, list[str]] = {}
        self._told: dict[str, None] = {}
        self._unturned: list[str] = []
        self._masks = self._empty = 0

    def convert(self, task: _Task, exporters: Sequence[MaskExporter]) -> None:
        """Read the masks of an image, and give them to all exporters."""
        if isinstance(task.record, str):
            self._leave_out(task.key, task.record)
            return
        try:
            masks = self._read(task, task.record)
        except BadMaskError as error:
            if not self._skip_bad:
                raise
            self._leave_out(task.key, str(error))
            return
        except (ValueError, OSError) as error:  # the photo
            self._failed[task.key] = f"{task.key}: {error}"
            return
        for exporter in exporters:
            exporter.add(task.key, masks, task.path, task.number)
        self._done.append(task.key)
        self._masks += len(masks)
        self._empty += not len(masks)

    def check_some_left(self) -> None:
        """Refuse to write what holds nothing because all was bad.

        Raises:
            ValueError: if so; says why of the first.
        """
        reasons = [*self._failed.values(), *(one for all in self._notes.values() for one in all)]
        if not self._masks and reasons:
            raise ValueError(f"no mask can be used; the first: {reasons[0]}")

    def summary(
        self, formats: Sequence[str], inputs: RefinementInputs, remarks: Sequence[str]
    ) -> ConversionSummary:
        """What came of all images."""
        return ConversionSummary(
            done=self._done,
            failed=self._failed,
            remarks=[
                *inputs.notes,
                *self._told,
                *unturned(self._unturned),
                *remarks,
                *mostly_left_out(self._notes, self._masks),
            ],
            told=inputs.notes,
            formats=formats,
            masks=self._masks,
            notes=self._notes,
            empty=self._empty,
            others=len(inputs.others),
        )

    def _read(self, task: _Task, record: MaskRecord) -> InstanceMasks:
        reader = copy.copy(self._reader)  # with notes of its own: what it finds is this image's
        reader.notes = []
        photo = read_photo(task.path, lambda: reader.evidence(record))
        if not photo.orientation.upright:
            self._unturned.append(task.key)
        on_bad = (lambda bad: self._leave_out(task.key, str(bad))) if self._skip_bad else None
        masks = reader.read(record, photo.size, on_bad)
        self._told.update(dict.fromkeys(reader.notes))
        return masks

    def _leave_out(self, key: str, reason: str) -> None:
        self._notes.setdefault(key, []).append(reason)
        note_once(reason)
