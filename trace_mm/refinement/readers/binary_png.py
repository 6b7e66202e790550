"""Reader of masks that are black-and-white PNG files."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from trace_mm.files import SizeEvidence, map_sizes
from trace_mm.files.binary_masks import mask_value, read_mask
from trace_mm.files.id_maps import VOID
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.base import (
    BadMaskError,
    IsImage,
    MaskReader,
    MaskRecord,
    MaskStack,
    OnBad,
    as_bad_masks,
)
from trace_mm.refinement.readers.source import MaskSource, some_of

_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>[0-9]{1,3})", re.DOTALL)
_DIGITS = re.compile("([0-9]+)")
_USUAL = {0, 1, VOID, 2**16 - 1}  # what masks hold; 0 if they are empty
_SOFT = (
    "masks with soft rims were cut at half of their largest value; if these are numbers of "
    "classes, say --format dhr"
)


class BinaryPngReader(MaskReader):
    """A PNG for each mask, 0 outside of it and one other value inside, perhaps with a soft rim.

    Either a folder for each image, named by the image's stem, whatever the files in it are called;
    or files ``<stem>.png`` for a single mask, or ``<stem>_<n>.png`` with a number of at most three
    digits. A name that an image has as a whole, such as ``frame_001``, is not split. Both may stand
    side by side. Masks are in the order of their numbers, and have neither classes nor scores. See
    ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the first files are black and white, in grey or in palette images of only that.

        Another value than 1 and 255 is the number of a class, unless names say that several files
        are of one image.
        """
        names = some_of(source.files(".png"))
        for folder in source.folders()[:1]:
            names += [f"{folder}/{name}" for name in _pngs(source.path / folder)[:1]]
        values = [mask_value(source.path / name) for name in names]
        if not values or None in values:
            return False
        several = source.folders() or any(_NUMBERED.fullmatch(Path(name).stem) for name in names)
        return len({*values} - _USUAL) < (2 if several else 1)

    def records(self, is_image: IsImage | None = None) -> list[MaskRecord]:
        """A record for each image; see ``MaskReader``."""
        return self._records if is_image is None else self._grouped(is_image)

    def __getstate__(self) -> dict[str, Any]:
        """What reads a record; see ``MaskReader``."""
        return {**super().__getstate__(), "_folders": {}, "_files": []}

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        self._folders = {
            folder: [source.path / folder / name for name in _pngs(source.path / folder)]
            for folder in source.folders()
        }
        self._files = [source.path / name for name in source.files(".png")]
        records = self._grouped(lambda stem: False)
        if not records:
            raise ValueError(f"{source.path}: no PNG file in this folder or those in it")
        return records

    def _grouped(self, is_image: IsImage) -> list[MaskRecord]:
        images: dict[str, list[Path]] = defaultdict(list)
        for folder, paths in self._folders.items():
            images[folder] += paths
        for path in self._files:
            numbered = _NUMBERED.fullmatch(path.stem)
            whole = numbered is None or is_image(path.stem)
            images[path.stem if whole or numbered is None else numbered["stem"]].append(path)
        return [
            MaskRecord(image, None, sorted(paths, key=_natural))
            for image, paths in sorted(images.items())
            if paths
        ]

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        try:
            stack = MaskStack(len(record.content), size)
        except ValueError as error:
            raise BadMaskError(f"{self.path}: {record.name}: {error}") from error
        for path in record.content:
            try:
                with as_bad_masks():
                    mask, soft = read_mask(path, size)
            except BadMaskError as error:
                if on_bad is None:
                    raise
                on_bad(error)
                continue
            stack.add(mask)
            note = f"{self.path}: {_SOFT}"
            if soft and note not in self.notes:
                self.notes.append(note)
        return stack.instances()

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        return SizeEvidence(map_sizes(*record.content))


def _pngs(folder: Path) -> list[str]:
    return MaskSource(folder).files(".png")


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key: numbers in names count as numbers."""
    parts = _DIGITS.split(path.stem)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
