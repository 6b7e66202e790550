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
from trace_mm.runs.packed import PackedStrings
from trace_mm.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class ImageSource(ShortRepr):
    """One image to read.

    Attributes:
        name: of its results, without suffix: a relative path with forward slashes. Two different
            files never share one, not even on file systems that ignore case.
        image: a path, an array or a PIL image, as :func:`trace_mm.apis.load_image` takes it.
    """

    name: str
    image: Path | NDArray[Any] | Image.Image

    @property
    def label(self) -> str:
        """What messages call it: the path where there is one."""
        return str(self.image) if isinstance(self.image, Path) else self.name


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
        if not isinstance(source.image, Path):
            self._pixels[len(self)] = source.image
        self._names.append(source.name)
        self._paths.append(str(source.image) if isinstance(source.image, Path) else "")

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
        image = Path(self._paths[number]) if pixels is None else pixels
        return ImageSource(self._names[number], image)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Name and absolute path of each file.

        Raises:
            ValueError: if an image is no file.
        """
        for source in self:
            if not isinstance(source.image, Path):
                raise ValueError(f"{source.label}: this takes files only")
            yield source.name, absolute_path(source.image)

    def paths(self) -> Iterator[Path]:
        """The files among the images."""
        return (Path(path) for path in self._paths if path)

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
    paths = [absolute_path(s.image) for s in sources if isinstance(s.image, Path)]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    if len({path.parent for path in paths}) > 1:
        sources = [
            replace(s, name=stem_of(absolute_path(s.image).relative_to(root)))
            if isinstance(s.image, Path)
            else s
            for s in sources
        ]
    suffixed: set[int] = set()
    while clashing := _ambiguous(sources):
        # More than one round: "a.png", once it keeps its suffix, meets the stem of "a.png.gif".
        chosen = {
            number
            for number, source in enumerate(sources)
            if source.name.casefold() in clashing and isinstance(source.image, Path)
        }
        if chosen <= suffixed:
            labels = sorted({s.label for s in sources if s.name.casefold() in clashing})
            raise ValueError(f"results of {' and '.join(labels[:2])} would have the same name")
        sources = [
            replace(source, name=source.name + source.image.suffix)
            if number in chosen - suffixed and isinstance(source.image, Path)
            else source
            for number, source in enumerate(sources)
        ]
        suffixed |= chosen
    return sources


def _ambiguous(sources: Sequence[ImageSource]) -> set[str]:
    """Case-folded names that more than one file would get."""
    identities = {
        (s.name.casefold(), absolute_path(s.image) if isinstance(s.image, Path) else id(s))
        for s in sources
    }
    counts = Counter(name for name, _ in identities)
    return {name for name, count in counts.items() if count > 1}
