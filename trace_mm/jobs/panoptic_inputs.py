"""The images that labels are made of, with their semantic maps or score maps, and ids."""

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Generic, TypeVar

import numpy as np

from trace_mm.files import OtherFiles
from trace_mm.files.file_state import file_state
from trace_mm.files.folders import images_in
from trace_mm.files.store_paths import (
    FilePath,
    StorePath,
    as_path,
    joined,
    name_within,
    packed_within,
    unpacked_within,
)
from trace_mm.jobs.places import AnyPath
from trace_mm.refinement import ImageIndex
from trace_mm.refinement.image_maps import ImageMaps
from trace_mm.runs.packed import Keys, PackedStrings

_NO_ID = -(2**63)
_Maps = TypeVar("_Maps", bound=ImageMaps)


@dataclass(frozen=True)
class PanopticInputs(Generic[_Maps]):
    """Images, known by their numbers. In memory there are some dozen bytes each besides its names.

    Attributes:
        root: folder of the images.
        names: path of each within it, sorted.
        semantic: the folder of maps.
        maps: each image's map within that, see ``ImageMaps.match``; empty if it has none.
        ids: the image id of each.
        notes: what was passed over.
        states: of the images, if a store has them, as its listing told them; else empty.
    """

    root: FilePath
    names: Keys
    semantic: _Maps
    maps: PackedStrings
    ids: "array[int]"
    notes: list[str] = field(default_factory=list)
    states: PackedStrings = field(default_factory=PackedStrings)

    @property
    def unused_maps(self) -> int:
        """How many maps have no image."""
        return len(self.semantic) - sum(map(bool, self.maps))

    def image(self, number: int) -> FilePath:
        """An image's file."""
        state = self.states[number] if self.states else ""
        return unpacked_within(self.names[number] + state, self.root)

    def map(self, number: int) -> FilePath | None:
        """An image's map, if it has one."""
        name = self.maps[number]
        return self.semantic.path(name) if name else None

    def map_state(self, number: int) -> str:
        """What changes with an image's map; empty if it has none."""
        path = self.map(number)
        if path is None:
            return ""
        size, changed = file_state(path).values()
        return f"{name_within(path, self.semantic.folder)} {size} {changed}"

    def with_map(self) -> PackedStrings:
        """Names of the images that have a map."""
        return PackedStrings(self._names(True))

    def without_map(self) -> PackedStrings:
        """Names of the others."""
        return PackedStrings(self._names(False))

    def shown(self, most: int) -> frozenset[str]:
        """Names of at most so many images that have a map, spread evenly over all."""
        names = self.with_map()
        count = min(most, len(names))
        return frozenset(names[number * len(names) // count] for number in range(count))

    def by_rising_id(self) -> Iterator[int]:
        """The numbers of all images, in the order of their ids."""
        return map(int, np.argsort(np.frombuffer(self.ids, np.int64), kind="stable"))

    def _names(self, with_map: bool) -> Iterator[str]:
        return (
            name for name, file in zip(self.names, self.maps, strict=True) if bool(file) == with_map
        )


def find_inputs(
    images: AnyPath,
    known: _Maps,
    annotations: AnyPath | None = None,
) -> PanopticInputs[_Maps]:
    """Find the images and their maps.

    Args:
        images: folder, local or of a store, which is searched with its subfolders.
        known: the folder of maps.
        annotations: a COCO file whose image ids are used, by file name. None: images count from 1
            by name, those without a map as well.

    Raises:
        FileNotFoundError: if an input does not exist or holds no image.
        ValueError: if two images would share results, no image has a map, or ``annotations`` lacks
            an image that has one.
    """
    root, others = as_path(images), OtherFiles()
    found = PackedStrings(sorted(packed_within(path, root) for path in images_in(root, others)))
    names = Keys(text.partition("\0")[0] for text in found)
    if not names:
        lacking = f"{images}: there is no image in it"
        raise FileNotFoundError("; ".join([lacking, *others.describe("in it")]))
    _check_distinct(names, root)
    maps = known.match(names)
    if not any(maps):
        raise ValueError(
            f"{known.folder}: none of its {len(known)} {known.kind}s is called like one of the "
            f"{len(names)} images in {images}, such as {names[0]}"
        )
    ids = array("q", range(1, len(names) + 1))
    if annotations is not None:
        ids = _listed_ids(root, names, maps, annotations)
    notes = [*others.describe(root), *known.others.describe(known.folder, "maps")]
    states = PackedStrings()
    if isinstance(root, StorePath):
        pairs = zip(found, names, strict=True)
        states = PackedStrings(text.removeprefix(name) for text, name in pairs)
    return PanopticInputs(root, names, known, maps, ids, notes, states)


def _check_distinct(names: Keys, root: FilePath) -> None:
    """Refuse images that differ only in suffix or case: one file could not hold the labels of both.

    Raises:
        ValueError: naming two such images.
    """
    hashes = np.array([hash(_stem(name)) for name in names])  # 8 bytes each, unlike the stems
    values, counts = np.unique(hashes, return_counts=True)
    suspects = np.flatnonzero(np.isin(hashes, values[counts > 1])).tolist()
    owners: dict[str, str] = {}
    for name in (names[number] for number in suspects):
        owner = owners.setdefault(_stem(name), name)
        if owner != name:
            one, other = joined(root, owner), joined(root, name)
            raise ValueError(f"{one} and {other}: their labels would have one name")


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix().casefold()


def _listed_ids(
    root: FilePath, names: Keys, maps: PackedStrings, annotations: str | os.PathLike[str]
) -> "array[int]":
    """The ids that a COCO file has for the images."""
    paths = [unpacked_within(name, root) for name in names]
    listed = ImageIndex(paths, annotations).ids()
    ids = array("q", (listed.get(path, _NO_ID) for path in paths))
    missing = [
        name for name, file, id in zip(names, maps, ids, strict=True) if file and id == _NO_ID
    ]
    if missing:
        raise ValueError(
            f"{annotations}: lists no image {missing[0]}, of which there is a semantic map "
            f"({len(missing)} are missing)"
        )
    return ids
