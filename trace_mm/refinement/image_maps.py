"""A folder with a map for each image: which map is of which image."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from trace_mm.files import OtherFiles
from trace_mm.files.folders import files_in
from trace_mm.files.json_values import compose
from trace_mm.files.store_paths import (
    FilePath,
    as_path,
    name_within,
    packed_within,
    unpacked_within,
)
from trace_mm.runs.packed import Keys, PackedStrings

_NOBODY = -1


class ImageMaps:
    """Maps in a folder, ``<stem><suffix>``, and which image each is of.

    In memory there are some dozen bytes a map besides its name.

    Args:
        folder: local or of a store; searched with its subfolders.
        suffixes: how names of maps end, such as ``.npz`` or ``_gtFine_labelIds.png``; of several
            that fit, the first counts. Other files are left out.
        kind: what messages call a map.

    Attributes:
        others: what of the folder is no map.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no map, or two maps of one stem; names both.
    """

    def __init__(
        self, folder: str | os.PathLike[str], suffixes: Sequence[str], kind: str = "map"
    ) -> None:
        self.folder = as_path(folder)
        self.others = OtherFiles()
        self.kind = kind
        self._suffixes = tuple(suffixes)
        self._stems, self._files = Keys(), PackedStrings()
        for stem, file in sorted(self._walk()):
            if len(self._stems) and self._stems[-1] == stem:
                first, second = self.path(self._files[-1]), self.path(file)
                raise ValueError(f"{first} and {second}: two {kind}s of one name")
            self._stems.append(stem)
            self._files.append(file)
        if not self._files:
            lacking = f"{folder}: there is no {kind} in it ({', '.join(self._suffixes)})"
            raise ValueError("; ".join([lacking, *self.others.describe("in it", "maps")]))

    def __len__(self) -> int:
        return len(self._files)

    @property
    def stems(self) -> Keys:
        """Paths of the maps within the folder, without their suffixes, sorted."""
        return self._stems

    @property
    def files(self) -> PackedStrings:
        """The maps in that order, for :meth:`path`."""
        return self._files

    def path(self, packed: str) -> FilePath:
        """Where a map is, as :meth:`match` gives it."""
        return unpacked_within(packed, self.folder)

    def match(self, names: Iterable[str]) -> PackedStrings:
        """The maps of images, as paths within the folder; empty for images without one.

        Those of a store are packed with their states, see
        :func:`trace_mm.files.store_paths.packed_within`.

        A map has the image's path without its suffix, or only the last part of it, where all maps
        of a dataset with subfolders lie in one folder.

        Args:
            names: paths of images within their folder, with forward slashes.

        Raises:
            ValueError: if two images would have one map; names both.
        """
        found, given = PackedStrings(), PackedStrings()
        owners = array("q", [_NOBODY]) * len(self)
        for number, name in enumerate(names):
            given.append(name)
            index = self._find(PurePosixPath(compose(name)).with_suffix(""))
            if index is not None and owners[index] != _NOBODY:
                path = self.path(self._files[index])
                raise ValueError(
                    f"images {given[owners[index]]} and {name} would both have the map {path}"
                )
            if index is not None:
                owners[index] = number
            found.append("" if index is None else self._files[index])
        return found

    def _find(self, stem: PurePosixPath) -> int | None:
        whole = self._stems.find(stem.as_posix())
        return self._stems.find(stem.name) if whole is None else whole

    def _walk(self) -> Iterator[tuple[str, str]]:
        """Each map's name without suffix, letters in one form, and its path within the folder."""
        for path in maps_in(self.folder, self._suffixes, self.others, f"{self.kind}s"):
            name = name_within(path, self.folder)
            suffix = next(one for one in self._suffixes if name.lower().endswith(one.lower()))
            yield compose(name[: -len(suffix)]), packed_within(path, self.folder)


def maps_in(
    folder: FilePath, suffixes: Sequence[str], others: OtherFiles, kind: str
) -> Iterator[FilePath]:
    """Files of a folder and its subfolders whose names end so, letters of any case."""
    endings = tuple(suffix.lower() for suffix in suffixes)

    def is_called(path: FilePath) -> bool:
        return path.name.lower().endswith(endings)

    return files_in(folder, is_called, others, kind)
