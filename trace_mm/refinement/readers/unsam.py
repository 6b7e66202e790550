"""Reader of UnSAM's files, one for each image, and of SA-1B, whose layout they follow."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trace_mm.files import SizeEvidence, coco_evidence
from trace_mm.files.coco_file import CocoFile, CocoImage
from trace_mm.files.json_file import read_json
from trace_mm.files.json_values import describe
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.annotations import (
    crowd_note_of_image,
    read_annotations,
    scores_count,
    without_crowds,
)
from trace_mm.refinement.readers.base import BadMaskError, MaskReader, MaskRecord, OnBad
from trace_mm.refinement.readers.source import MaskSource

_REFINED = re.compile("(p_)*")  # put before the names of files that its second step has refined


class UnSamReader(MaskReader):
    """UnSAM: a JSON file an image, in which ``image`` is one object; a folder of them, or one.

    UnSAM's second step writes refined masks to ``p_NAME.json`` beside ``NAME.json``; of an image
    that has both, the refined ones are read. In a folder, images are found by the names of the JSON
    files, which are opened one by one. Ids repeat in refined files, and SA-1B states no categories;
    neither matters. See ``MaskReader``.
    """

    suffix = ".json"

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the file, or the first in the folder, has an object ``image``."""
        content = source.sample_content
        return isinstance(content, dict) and isinstance(content.get("image"), dict)

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        if not source.is_folder:
            name = _parts(source.path, source.content)[0].file_name
            return [MaskRecord(name or _stem(source.path.name), None, source.path)]
        newest: dict[str, str] = {}
        for file in source.files(".json"):  # longer prefixes mean later steps
            stem = _stem(file)
            if stem not in newest or len(file) > len(newest[stem]):
                newest[stem] = file
        if not newest:
            raise ValueError(f"{source.path}: there is no JSON file in this folder")
        return [MaskRecord(stem, None, source.path / newest[stem]) for stem in sorted(newest)]

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        try:
            _, file = _parts(record.content, read_json(record.content))
            annotations = list(file.annotations(None if on_bad is None else _teller(on_bad)))
        except (ValueError, FileNotFoundError) as error:
            raise BadMaskError(str(error)) from error
        note = crowd_note_of_image(self.path, file, self.crowds)
        if note is not None and note not in self.notes:
            self.notes.append(note)
        scored = scores_count(annotations)
        annotations = without_crowds(annotations, bool(file.only_crowds), self.crowds, on_bad)
        return read_annotations(annotations, size, scored, file.name, on_bad)

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        try:
            image, file = _parts(record.content, read_json(record.content))
        except (ValueError, FileNotFoundError):
            return SizeEvidence()
        annotations = file.annotations(lambda error: None)
        return coco_evidence((one.content for one in annotations), image.stated_size)


def _teller(on_bad: OnBad) -> Callable[[ValueError], None]:
    return lambda error: on_bad(BadMaskError(str(error)))


def _stem(file: str) -> str:
    refined = _REFINED.match(file)
    return Path(file[refined.end() if refined else 0 :]).stem


def _parts(path: Path, content: Any) -> tuple[CocoImage, CocoFile]:
    """``image`` and the rest of a file.

    Raises:
        ValueError: if it lacks one; names the file.
    """
    image = content.get("image") if isinstance(content, dict) else None
    if not isinstance(image, dict) or "annotations" not in content:
        raise ValueError(
            f"{path}: not a file of one image, it needs an object 'image' and a list "
            f"'annotations': {describe(content)}"
        )
    file = CocoFile(content, str(path)).require("annotations")
    return CocoImage(image, str(path), "image", None), file
