"""Images that a user points at, each with a name for its results that no other has."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files import absolute_path
from trace_mm.files.store_paths import FilePath, StorePath, is_local, packed_path, unpacked_path
from trace_mm.runs.packed import PackedStrings
from trace_mm.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class ImageSource(ShortRepr):
    """One image to read.

    Attributes:
        name: of its results, without suffix: a relative path with forward slashes. Two different
            files never share one, not even on file systems that ignore case.
        image: a path, a file of a store, an array or a PIL image, as
            :func:`trace_mm.apis.load_image` takes it.
    """

    name: str
    image: FilePath | NDArray[Any] | Image.Image

    @property
    def file(self) -> FilePath | None:
        """Where its file is, if it is one."""
        return self.image if isinstance(self.image, (Path, StorePath)) else None

    @property
    def label(self) -> str:
        """What messages call it: the path or address where there is one."""
        return self.name if self.file is None else str(self.file)

    @property
    def place(self) -> PurePath | None:
        """The same for each of its file's names, to compare it by; None if it is no file."""
        file = self.file
        if isinstance(file, Path):
            return absolute_path(file)
        return None if file is None else file.pure


class ImageSources(Sequence[ImageSource]):
    """Any number of images; files take few bytes besides the text of their names and paths.

    Args:
        sources: the images, in their order.
    """

    def __init__(self, sources: Iterable[ImageSource] = ()) -> None:
        self._names, self._paths = PackedStrings(), PackedStrings()
        self._pixels: dict[int, Any] = {}  # of those that are no files
        for source in sources:
            self.append(source)

    def append(self, source: ImageSource) -> None:
        """Add an image at the end."""
        if source.file is None:
            self._pixels[len(self)] = source.image
        self._names.append(source.name)
        self._paths.append("" if source.file is None else packed_path(source.file))

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> ImageSource: ...
    @overload
    def __getitem__(self, index: slice) -> "ImageSources": ...
    def __getitem__(self, index: int | slice) -> "ImageSource | ImageSources":
        if isinstance(index, slice):
            return ImageSources(self[number] for number in range(*index.indices(len(self))))
        number = range(len(self))[index]
        pixels = self._pixels.get(number)
        image = unpacked_path(self._paths[number]) if pixels is None else pixels
        return ImageSource(self._names[number], image)

    def files(self) -> Iterator[tuple[str, str]]:
        """Name and place of each file, as :func:`trace_mm.files.store_paths.packed_path` packs it.

        Raises:
            ValueError: if an image is no file.
        """
        for name, path in zip(self._names, self._paths, strict=True):
            if not path:
                raise ValueError(f"{name}: this takes files only")
            yield name, os.path.abspath(path) if is_local(path) else path  # noqa: PTH100

    def paths(self) -> Iterator[str]:
        """The local files among the images, as text, since there may be millions."""
        return (path for path in self._paths if path and is_local(path))

    def in_order(self) -> "ImageSources":
        """The same, sorted by folders and names in these."""

        def place(number: int) -> str:
            return self._paths[number].partition("\0")[0].replace("/", "\0")

        numbers = range(len(self))
        if all(place(number - 1) <= place(number) for number in numbers[1:]):
            return self
        return ImageSources(self[number] for number in sorted(numbers, key=place))

    def distinct(self) -> "ImageSources":
        """The same, but different files have different names.

        Raises:
            ValueError: if that cannot be done; names two of them.
        """
        if not self._may_clash():
            return self
        sources = _with_distinct_names(list(self))
        return self if sources is None else ImageSources(sources)

    def _may_clash(self) -> bool:
        """Whether names repeat, perhaps: 8 bytes an image, where a set would take hundreds."""
        hashes = np.fromiter((hash(name.casefold()) for name in self._names), np.int64, len(self))
        return len(np.unique(hashes)) < len(self)


def stem_of(path: PurePath) -> str:
    """A path without its suffix, with forward slashes."""
    return path.with_suffix("").as_posix()


def _with_distinct_names(sources: list[ImageSource]) -> list[ImageSource] | None:
    """Sources renamed so that different files have different names; None if they have them."""
    if not _ambiguous(sources):
        return None
    places = [place for place in (source.place for source in sources) if place is not None]
    root = PurePath(os.path.commonpath([place.parent for place in places]))
    if len({place.parent for place in places}) > 1:
        sources = [
            s if s.place is None else replace(s, name=stem_of(s.place.relative_to(root)))
            for s in sources
        ]
    suffixed: set[int] = set()
    while clashing := _ambiguous(sources):
        # More than one round: "a.png", once it keeps its suffix, meets the stem of "a.png.gif".
        chosen = {
            number
            for number, source in enumerate(sources)
            if source.name.casefold() in clashing and source.file is not None
        }
        if chosen <= suffixed:
            labels = sorted({s.label for s in sources if s.name.casefold() in clashing})
            raise ValueError(f"results of {' and '.join(labels[:2])} would have the same name")
        sources = [
            replace(source, name=source.name + source.file.suffix)
            if number in chosen - suffixed and source.file is not None
            else source
            for number, source in enumerate(sources)
        ]
        suffixed |= chosen
    return sources


def _ambiguous(sources: Sequence[ImageSource]) -> set[str]:
    """Case-folded names that more than one file would get."""
    identities = {(s.name.casefold(), s.place or id(s)) for s in sources}
    counts = Counter(name for name, _ in identities)
    return {name for name, count in counts.items() if count > 1}
