"""Which file of a folder is meant by a name that another file writes.

Annotation files are made on other systems: their names have backslashes, letters in another Unicode
form, folders that lead elsewhere, or the words that Cityscapes' own scripts put in. All of the
package finds files here, so that what one part finds the others find too.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from trace_mm.files.folders import IMAGE_SUFFIXES, walk_images
from trace_mm.files.hash_index import HashIndex
from trace_mm.files.json_values import ImageId, compose
from trace_mm.files.store_paths import FilePath, joined

_SHOWN = 3  # files that a message names
_DIGITS = re.compile("[0-9]+")
_CITYSCAPES = re.compile("_gt(Fine|Coarse)(?=_leftImg8bit)")

_LEADING = ("", ".", "..")

_Key = TypeVar("_Key", bound=Hashable)
_File = TypeVar("_File", bound=Hashable)
_Table = dict[_Key, int | list[int]]  # a list only where there are several: there are millions


def name_parts(name: str) -> list[str]:
    """Parts of a path as any system writes it, in composed letters, without what leads to it."""
    return [part for part in compose(name).replace("\\", "/").split("/") if part not in _LEADING]


def plain_name(name: str) -> str:
    """A listed name in the form in which two files' names for one image can be compared.

    Forward slashes, composed letters, no suffix, and without the word that Cityscapes' script for
    panoptic images puts into names of photos (``x_gtFine_leftImg8bit`` for ``x_leftImg8bit``).
    """
    path = PurePosixPath(*name_parts(name))
    stem = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
    return path.with_name(_CITYSCAPES.sub("", stem)).as_posix() if stem else ""


def _names_in(folder: str) -> list[str]:
    """Names in a folder; none if it is no folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


class Listings:
    """Finds files by a path from a folder; each folder is looked into once.

    Args:
        names_in: what a folder holds, local ones by default.
    """

    def __init__(self, names_in: Callable[[str], Iterable[str]] = _names_in) -> None:
        self._names_in = names_in
        self._names: dict[str, dict[str, str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without names: another process looks for itself."""
        return {**vars(self), "_names": {}}

    def find(self, folder: str | os.PathLike[str], name: str) -> Path | None:
        """The file ``name`` in a folder, whatever its slashes and the form of its letters.

        Returns:
            None if there is none; a name that leads out of the folder has none.
        """
        found = self.find_text(os.fspath(folder), name)
        return None if found is None else Path(found)

    def find_text(self, folder: str, name: str) -> str | None:
        """The same, as text that begins with the folder."""
        for path in dict.fromkeys((name, name.replace("\\", "/"))):
            found = self._walk(folder, path.split("/"))
            if found is not None:
                return found
        return None

    def _walk(self, folder: str, parts: Sequence[str]) -> str | None:
        if not parts[0] or parts[-1] in _LEADING or ".." in parts:
            return None
        for part in parts:
            if part in _LEADING:
                continue
            names = self._list(folder)
            actual = names.get(part, names.get(compose(part)))
            if actual is None:
                return None
            folder = f"{folder}/{actual}"
        return folder

    def _list(self, folder: str) -> dict[str, str]:
        """Names in a folder, as they are and in composed letters; none if it is no folder."""
        if folder not in self._names:
            names = list(self._names_in(folder))
            composed = {compose(name): name for name in sorted(names)}
            self._names[folder] = composed | {name: name for name in names}
        return self._names[folder]


class FileIndex:
    """Finds files by what other files write of them.

    A file is found by its path, as many of its last parts as there are; by its name without suffix,
    since masks are often files of another type; or by the names that Cityscapes' scripts make of an
    image's id. A search takes the same time however many files there are.

    Args:
        paths: with forward slashes; as text, since there may be millions.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self._tables: dict[int, tuple[HashIndex, HashIndex]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without tables, which hold hashes of this process."""
        return {**vars(self), "_tables": {}}

    def find(self, name: str, image_id: ImageId | None = None) -> list[int]:
        """Indices of the files that a name may mean.

        Args:
            name: as any system writes it.
            image_id: of the image. If it is text that the name starts with, so may the file's name.
        """
        found = self._by_name(name)
        if found or not name_parts(name):
            return found
        *folders, last = name_parts(name)
        for other in _other_names(last, image_id):
            found = self._by_name("/".join([*folders, other]))
            if found:
                return found
        starts = isinstance(image_id, str) and last.startswith(f"{image_id}_")
        return self._starting(f"{image_id}_") if starts else []

    def find_one(self, name: str, image_id: ImageId | None = None) -> str | None:
        """The path of the file that a name may mean; None if there is none.

        Raises:
            ValueError: if there are several; names them.
        """
        indices = self.find(name, image_id)
        if len(indices) > 1:
            shown = ", ".join(self.paths[index] for index in indices[:_SHOWN])
            raise ValueError(f"image {name!r} may be any of {len(indices)} files: {shown}")
        return self.paths[indices[0]] if indices else None

    def numbered(self, number: int) -> list[int]:
        """Indices of the files whose name is, ends with, or joins its digits to a number."""
        exact, other = self._numbers
        return _listed(exact[number] if number in exact else other.get(number, []))

    def _by_name(self, name: str) -> list[int]:
        """Files whose paths end as a name does, in as many parts as occur."""
        parts = name_parts(name)
        suffix = PurePosixPath(parts[-1]).suffix if parts else ""
        for depth in range(len(parts), 0, -1):
            names, stems = self._tables_of(depth)
            end = "/".join(parts[-depth:])
            stem = end.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else end
            for table, key in ((names, end), (stems, end), (stems, stem)):
                if found := list(table.find(key)):
                    return found
        return []

    def _starting(self, start: str) -> list[int]:
        first = bisect_left(self._sorted_names, (start, 0))
        found = []
        for name, index in self._sorted_names[first:]:
            if not name.startswith(start):
                break
            found.append(index)
        return found

    def _tables_of(self, depth: int) -> tuple[HashIndex, HashIndex]:
        """Files by the last ``depth`` parts of their paths, with and without suffix."""
        if depth not in self._tables:
            name, count = partial(self._end, depth), len(self.paths)
            stem = partial(self._end, depth, without_suffix=True)
            self._tables[depth] = HashIndex(count, name), HashIndex(count, stem)
        return self._tables[depth]

    def _end(self, depth: int, index: int, without_suffix: bool = False) -> str:
        """The last parts of a path; empty if there are fewer."""
        parts = compose(self.paths[index]).rsplit("/", depth)
        if len(parts) < depth:
            return ""
        end = "/".join(parts[-depth:])
        return end.removesuffix(PurePosixPath(parts[-1]).suffix) if without_suffix else end

    @cached_property
    def _sorted_names(self) -> list[tuple[str, int]]:
        names = (compose(path.rpartition("/")[2]) for path in self.paths)
        return sorted((name, index) for index, name in enumerate(names))

    @cached_property
    def _numbers(self) -> tuple[_Table[int], _Table[int]]:
        """Files by the number that their stem is, and by those that it ends with or joins to."""
        exact: _Table[int] = {}
        other: _Table[int] = {}
        for index, path in enumerate(self.paths):
            stem = PurePosixPath(path).stem
            groups = _DIGITS.findall(stem)
            if groups == [stem]:
                _add(exact, int(stem), index)
            elif groups:
                last = groups[-1] if stem.endswith(groups[-1]) else ""
                for number in {int(last or "".join(groups)), int("".join(groups))}:
                    _add(other, number, index)
        return exact, other


class ListedImages:
    """The image files that an annotation file lists by name.

    Args:
        folder: of the images. It is searched with its subfolders for what is not where the name
            says.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._listings = Listings()

    def find(self, name: str, image_id: ImageId | None = None) -> Path | None:
        """The file that a name means, or None if there is none.

        Raises:
            ValueError: if it may mean several; names them.
        """
        found = self._listings.find(self.folder, name)
        if found is not None:
            return found
        exact = self.folder / name
        if "\0" not in name and (exact.is_absolute() or ".." in exact.parts) and exact.is_file():
            return exact
        path = self._index.find_one(name, image_id)
        return None if path is None else Path(path)

    def find_all(self, listed: Iterable[tuple[str, ImageId]], origin: object) -> list[Path]:
        """The files of many images, by name and id.

        Args:
            listed: name and id of each.
            origin: what lists them, for messages.

        Raises:
            FileNotFoundError: if some do not exist; names the first and their number.
            ValueError: if a name may mean several files, or two images mean one.
        """
        return find_listed(self.find, listed, self.folder, origin)

    @cached_property
    def _index(self) -> FileIndex:
        folder = self.folder
        images = walk_images(folder) if folder.is_dir() else []
        return FileIndex([path.as_posix() for path in images])


def find_listed(
    find: Callable[[str, ImageId], _File | None],
    listed: Iterable[tuple[str, ImageId]],
    folder: FilePath,
    origin: object,
) -> list[_File]:
    """The files of many images, by name and id; see :meth:`ListedImages.find_all`.

    Args:
        find: the file of one; None if there is none.
        listed: name and id of each.
        folder: of the images, for messages.
        origin: what lists them, for messages.
    """
    found: dict[_File, ImageId] = {}
    missing: list[str] = []
    for name, image_id in listed:
        try:
            path = find(name, image_id)
        except ValueError as error:
            raise ValueError(f"{origin}: {error}") from error
        if path is None:
            missing.append(name)
        elif found.setdefault(path, image_id) != image_id:
            raise ValueError(
                f"{origin}: the images {found[path]!r} and {image_id!r} would both be {path}"
            )
    if missing:
        raise FileNotFoundError(
            f"{joined(folder, missing[0])}: no such image ({len(missing)} of "
            f"{len(missing) + len(found)} that {origin} lists do not exist)"
        )
    return list(found)


def _other_names(name: str, image_id: ImageId | None) -> list[str]:
    """Names that files may have for an image which Cityscapes' scripts give another one."""
    names = [_CITYSCAPES.sub("", name)]
    if isinstance(image_id, str) and name.startswith(image_id):
        words = name[len(image_id) :].split("_")[1:]
        suffix = PurePosixPath(name).suffix
        names += ["_".join([image_id, *words[skip:]]) for skip in range(1, len(words))]
        names.append(f"{image_id}{suffix}")
    return [other for other in names if other != name]


def _add(table: _Table[_Key], key: _Key, index: int) -> None:
    present = table.setdefault(key, index)
    if isinstance(present, list):
        present.append(index)
    elif present != index:
        table[key] = [present, index]


def _listed(indices: int | list[int]) -> list[int]:
    return [indices] if isinstance(indices, int) else indices
