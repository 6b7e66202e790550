"""Reader of masks that are black-and-white PNG files."""

import re
from collections import defaultdict
from pathlib import Path

from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.readers.base import (
    BadMaskError,
    MaskReader,
    MaskRecord,
    MaskStack,
    OnBad,
)
from trace_mm.refine.readers.id_maps import is_black_and_white, read_binary
from trace_mm.refine.readers.source import MaskSource, some_of
from trace_mm.registry import TASK_UTILS

_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>[0-9]{1,3})", re.DOTALL)
_DIGITS = re.compile("([0-9]+)")


@TASK_UTILS.register_module()
class BinaryPngReader(MaskReader):
    """A PNG for each mask, 0 outside of it and one other value inside.

    Either a folder for each image, named by the image's stem, whatever the files in it are called;
    or files ``<stem>_<n>.png`` with a number of at most three digits, or ``<stem>.png`` for a
    single mask. Both may stand side by side. Masks are in the order of their numbers, and have
    neither classes nor scores. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the first files are black and white and no palette images."""
        names = some_of(source.files(".png"))
        for folder in source.folders()[:1]:
            names += [f"{folder}/{name}" for name in _pngs(source.path / folder)[:1]]
        return bool(names) and all(is_black_and_white(source.path / name) for name in names)

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        images: dict[str, list[Path]] = defaultdict(list)
        for folder in source.folders():
            images[folder] += [source.path / folder / name for name in _pngs(source.path / folder)]
        for name in source.files(".png"):
            path = source.path / name
            numbered = _NUMBERED.fullmatch(path.stem)
            images[numbered["stem"] if numbered else path.stem].append(path)
        records = [
            MaskRecord(image, None, sorted(paths, key=_natural))
            for image, paths in sorted(images.items())
            if paths
        ]
        if not records:
            raise ValueError(f"{source.path}: no PNG file in this folder or those in it")
        return records

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        try:
            stack = MaskStack(len(record.content), size)
        except ValueError as error:
            raise BadMaskError(f"{self.path}: {record.name}: {error}") from error
        for path in record.content:
            try:
                stack.add(read_binary(path, size))
            except BadMaskError as error:
                if on_bad is None:
                    raise
                on_bad(error)
        return stack.instances()


def _pngs(folder: Path) -> list[str]:
    return MaskSource(folder).files(".png")


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key: numbers in names count as numbers."""
    parts = _DIGITS.split(path.stem)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
