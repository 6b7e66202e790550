"""Which image file the masks of a record belong to."""

import os
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from trace_mm.files import IMAGE_SUFFIXES, walk_images
from trace_mm.refine.readers.annotations import id_of, image_name
from trace_mm.refine.readers.base import BadMaskError, MaskRecord
from trace_mm.refine.readers.source import load_json

_SHOWN = 3  # files or records that a message names
_DIGITS = re.compile("[0-9]+")

_Key = TypeVar("_Key", bound=Hashable)
_Table = dict[_Key, int | list[int]]  # a list only where there are several: there are millions


class ImageIndex:
    """Finds the image files of records by what sources write of them.

    A record's image is found by its path, as many of its last parts as there are; by its name
    without suffix, since masks are often files of another type; or, if the record has an id only,
    by that id: in the ``images`` of a COCO file if one is given, else the number that the file name
    is or ends with (139 is ``000000000139.jpg`` or ``COCO_val2014_000000000139.jpg``), or all its
    digits joined (2007000032 is ``2007_000032.jpg``). Each must lead to one file.

    A search takes the same time however many images there are.

    Args:
        images: a folder, which is searched with its subfolders, or image files.
        annotations: a COCO file whose ``images`` tell the names of ids; None for none.

    Raises:
        FileNotFoundError: if there is no such folder, no image in it, or no such COCO file.
        ValueError: if the COCO file has no ``images``.
    """

    def __init__(
        self,
        images: str | os.PathLike[str] | Sequence[Path],
        annotations: str | os.PathLike[str] | None = None,
    ) -> None:
        self._paths = _image_files(images)
        self._annotations = annotations
        self._names_of_ids = None if annotations is None else _names_by_id(Path(annotations))
        self._tables: dict[int, tuple[_Table[str], _Table[str]]] = {}
        self._numbers: tuple[_Table[int], _Table[int]] | None = None

    def paths(self) -> Iterator[Path]:
        """All image files."""
        return map(Path, self._paths)

    def find(self, record: MaskRecord) -> Path:
        """The image file of a record.

        Raises:
            BadMaskError: if there is none or more than one, or the record is bad; names the record
                and, of several files, the first.
        """
        if record.bad is not None:
            raise BadMaskError(record.bad)
        name, number = record.image, record.image_id
        if name is None and self._names_of_ids is not None and number is not None:
            name = self._names_of_ids.get(number)
            if name is None:
                raise BadMaskError(f"{record.name}: {self._annotations} lists no image of this id")
        if name is None and isinstance(number, int):
            return self._one(self._by_number(number), record)
        if name is None:
            name = number if isinstance(number, str) else ""
        return self._one(self._by_name(name), record)

    def ids(self) -> dict[Path, int]:
        """The ids that the COCO file has for images; those that it does not list are left out.

        Raises:
            ValueError: if an id is no integer, or two ids mean one image; names the file.
        """
        found: dict[Path, int] = {}
        for number, name in (self._names_of_ids or {}).items():
            if not isinstance(number, int):
                raise ValueError(f"{self._annotations}: image id {number!r} is no integer")
            try:
                path = self.find(MaskRecord(name, None, None))
            except BadMaskError:
                continue  # an image that is not here
            if found.setdefault(path, number) != number:
                raise ValueError(
                    f"{self._annotations}: the images {found[path]} and {number} would both be "
                    f"{path}"
                )
        return found

    def match(self, records: Iterable[MaskRecord]) -> list[Path | BadMaskError]:
        """The image files of many records, none of them twice.

        Names that differ in their folders only lead to one file where the others' images are
        missing. The file then belongs to the record that agrees with most of its path.

        Returns:
            For each record its file, or why it has none.
        """
        listed = list(records)
        found: list[Path | BadMaskError] = []
        claims: dict[Path, list[int]] = defaultdict(list)
        for number, record in enumerate(listed):
            try:
                path = self.find(record)
            except BadMaskError as error:
                found.append(error)
            else:
                found.append(path)
                claims[path].append(number)
        for path, numbers in claims.items():
            agreement = [_agreement(path, listed[number]) for number in numbers]
            for number, parts in zip(numbers, agreement, strict=True):
                if len(numbers) > 1 and (parts < max(agreement) or agreement.count(parts) > 1):
                    others = [listed[other].name for other in numbers if other != number]
                    found[number] = BadMaskError(
                        f"{listed[number].name}: the only such image, {path}, may be that of "
                        f"{', '.join(others[:_SHOWN])}"
                    )
        return found

    def _by_name(self, name: str) -> list[int]:
        """Images whose paths end as a name does, in as many parts as occur."""
        parts = _parts(name)
        suffix = PurePosixPath(parts[-1]).suffix if parts else ""
        for depth in range(len(parts), 0, -1):
            names, stems = self._tables_of(depth)
            end = "/".join(parts[-depth:])
            stem = end.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else end
            for table, key in ((names, end), (stems, end), (stems, stem)):
                if key in table:
                    return _listed(table[key])
        return []

    def _by_number(self, number: int) -> list[int]:
        if self._numbers is None:
            self._numbers = self._number_tables()
        exact, other = self._numbers
        return _listed(exact[number] if number in exact else other.get(number, []))

    def _tables_of(self, depth: int) -> tuple[_Table[str], _Table[str]]:
        """Images by the last ``depth`` parts of their paths, with and without suffix."""
        if depth not in self._tables:
            names: _Table[str] = {}
            stems: _Table[str] = {}
            for index, path in enumerate(self._paths):
                parts = path.rsplit("/", depth)
                if len(parts) >= depth:
                    end = "/".join(parts[-depth:])
                    _add(names, end, index)
                    _add(stems, end.removesuffix(PurePosixPath(parts[-1]).suffix), index)
            self._tables[depth] = names, stems
        return self._tables[depth]

    def _number_tables(self) -> tuple[_Table[int], _Table[int]]:
        """Images by the number that their stem is, and by those that it ends with or joins to."""
        exact: _Table[int] = {}
        other: _Table[int] = {}
        for index, path in enumerate(self._paths):
            stem = PurePosixPath(path).stem
            groups = _DIGITS.findall(stem)
            if groups == [stem]:
                _add(exact, int(stem), index)
            elif groups:
                last = groups[-1] if stem.endswith(groups[-1]) else ""
                for number in {int(last or "".join(groups)), int("".join(groups))}:
                    _add(other, number, index)
        return exact, other

    def _one(self, indices: list[int], record: MaskRecord) -> Path:
        if len(indices) == 1:
            return Path(self._paths[indices[0]])
        if not indices:
            raise BadMaskError(
                f"{record.name}: there is no such image; the first of the {len(self._paths)} is "
                f"{self._paths[0]}"
            )
        shown = ", ".join(self._paths[index] for index in indices[:_SHOWN])
        raise BadMaskError(f"{record.name}: it may be any of {len(indices)} images: {shown}")


def _image_files(images: str | os.PathLike[str] | Sequence[Path]) -> list[str]:
    """Paths with forward slashes; as text, since there may be millions."""
    if not isinstance(images, (str, os.PathLike)):
        paths = [path.as_posix() for path in images]
        origin = "the list of images"
    else:
        folder = Path(images)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of images")
        paths = [path.as_posix() for path in walk_images(folder)]
        origin = str(folder)
    if not paths:
        raise FileNotFoundError(f"{origin}: there is no image in it")
    return paths


def _names_by_id(path: Path) -> dict[int | str, str]:
    """File names by id; entries that cannot be read are as if they were not there.

    Raises:
        ValueError: if it is no COCO file, or an id has two names.
    """
    content: Any = load_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise ValueError(f"{path}: not a COCO annotation file, it needs a list 'images'")
    names: dict[int | str, str] = {}
    for image in images:
        number = id_of(image.get("id")) if isinstance(image, dict) else None
        name = image_name(image) if isinstance(image, dict) else None
        if number is not None and name is not None and names.setdefault(number, name) != name:
            raise ValueError(f"{path}: two images have the id {number!r}")
    return names


def _parts(name: str) -> list[str]:
    """Parts of a path as any system writes it, without what leads to it."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _agreement(path: Path, record: MaskRecord) -> int:
    """In how many of its last parts a record's name agrees with a path, from the folder on."""
    folders = path.absolute().parent.parts[::-1]
    agreeing = 0
    for mine, theirs in zip(_parts(record.image or "")[-2::-1], folders, strict=False):
        if mine != theirs:
            break
        agreeing += 1
    return agreeing


def _add(table: _Table[_Key], key: _Key, index: int) -> None:
    present = table.setdefault(key, index)
    if isinstance(present, list):
        present.append(index)
    elif present != index:
        table[key] = [present, index]


def _listed(indices: int | list[int]) -> list[int]:
    return [indices] if isinstance(indices, int) else indices
