"""Reader of COCO's panoptic format, as U2Seg and COCO itself write it."""

from pathlib import Path, PurePath
from typing import Any

import numpy as np

from trace_mm.files.json_values import as_integer
from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.readers.annotations import (
    category_names,
    category_of,
    first_annotations,
    id_of,
    image_name,
)
from trace_mm.refine.readers.base import BadMaskError, MaskReader, MaskRecord, MaskStack, OnBad
from trace_mm.refine.readers.id_maps import read_color_ids
from trace_mm.refine.readers.source import MaskSource, describe
from trace_mm.registry import TASK_UTILS


@TASK_UTILS.register_module()
class U2SegReader(MaskReader):
    """U2Seg and COCO panoptic: a JSON file, and an RGB PNG an image with ids R + 256 G + 65536 B.

    The PNGs lie in the folder that is called like the JSON file without its suffix, or beside the
    file. Only things are read: segments whose category has ``isthing`` 1, or where this is not
    stated; stuff is no instance, and U2Seg writes ``area`` 0 and an empty ``bbox`` for it. Crowds
    are left out, and segments that no pixel shows. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether annotations have ``segments_info``."""
        annotations = [] if source.is_folder else first_annotations(source.sample_content)
        return any("segments_info" in entry for entry in annotations)

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        content = None if source.is_folder else source.content
        if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
            raise ValueError(
                f"{source.path}: not a JSON file of COCO's panoptic format, it needs a list "
                f"'annotations'"
            )
        folder = source.path.with_suffix("")
        self._folder = folder if folder.is_dir() else source.path.parent
        self.categories = category_names(content.get("categories"))
        self._stuff = _stuff(content.get("categories"))
        names = _file_names(content.get("images"))
        return [
            self._record(position, annotation, names)
            for position, annotation in enumerate(content["annotations"])
        ]

    def _record(self, position: int, annotation: Any, names: dict[int | str, str]) -> MaskRecord:
        where = f"{self.path}: annotations[{position}]"
        if not isinstance(annotation, dict):
            cause = f"must be an object, got {describe(annotation)}"
            return MaskRecord(None, None, None, bad=f"{where}: {cause}")
        number, file = id_of(annotation.get("image_id")), annotation.get("file_name")
        segments = annotation.get("segments_info")
        name = names.get(number) if number is not None else None
        bad = None
        if not isinstance(file, str) or not _is_inside(file):
            bad = f"{where}: file_name must be a file in the folder, got {describe(file)}"
        elif not isinstance(segments, list):
            bad = f"{where}: segments_info must be a list, got {describe(segments)}"
        elif name is None:
            name = Path(file).stem
        return MaskRecord(name, number, (file, segments), bad)

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        file, segments = record.content
        things: dict[int, int] = {}
        for position, segment in enumerate(segments):
            try:
                value, label = _value_and_label(segment)
            except ValueError as error:
                where = f"{self.path}: {record.name}: segments_info[{position}]"
                bad = BadMaskError(f"{where}: {error}")
                if on_bad is None:
                    raise bad from error
                on_bad(bad)
                continue
            if label not in self._stuff and as_integer(segment.get("iscrowd")) != 1:
                things[value] = label
        ids = read_color_ids(self._folder / file, size)
        present = set(np.unique(ids).tolist())
        shown = [value for value in things if value in present]
        try:
            stack = MaskStack(len(shown), size)
        except ValueError as error:
            raise BadMaskError(f"{self.path}: {record.name}: {error}") from error
        for value in shown:
            stack.add(ids == value, things[value])
        return stack.instances()


def _value_and_label(segment: Any) -> tuple[int, int]:
    if not isinstance(segment, dict):
        raise ValueError(f"must be an object, got {describe(segment)}")
    value = as_integer(segment.get("id"))
    if value is None or not 0 < value < 2**24:
        raise ValueError(f"id must be a whole number above 0, got {describe(segment.get('id'))}")
    return value, category_of(segment.get("category_id"))


def _stuff(categories: Any) -> set[int]:
    """Ids of the categories that are said to be no things."""
    entries = categories if isinstance(categories, list) else []
    numbers = [
        as_integer(entry.get("id"))
        for entry in entries
        if isinstance(entry, dict) and as_integer(entry.get("isthing")) == 0
    ]
    return {number for number in numbers if number is not None}


def _file_names(images: Any) -> dict[int | str, str]:
    names = {}
    for image in images if isinstance(images, list) else []:
        number = id_of(image.get("id")) if isinstance(image, dict) else None
        name = image_name(image) if isinstance(image, dict) else None
        if number is not None and name is not None:
            names[number] = name
    return names


def _is_inside(file: str) -> bool:
    """Whether a path stays in the folder that it is relative to."""
    path = PurePath(file)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts
