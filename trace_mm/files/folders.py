"""Which files of a folder are images, and what paths are called."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import overload

from trace_mm.files.store_paths import FilePath, StorePath, with_states
from trace_mm.files.store_walk import walk_store

IMAGE_SUFFIXES = frozenset(
    [".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"]
    + [".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"]
)
"""What a folder is searched for. A file that is named itself may be called anything."""

_KINDS = 5  # suffixes that a message names


def is_image_file(path: Path) -> bool:
    """Whether a path is a file that is called like an image."""
    return is_image_name(path) and path.is_file()


def is_image_name(path: PurePath | StorePath) -> bool:
    """Whether a path is called like an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


@overload
def absolute_path(path: Path) -> Path: ...
@overload
def absolute_path(path: FilePath) -> FilePath: ...
def absolute_path(path: FilePath) -> FilePath:
    """An absolute path without ``..``, or an address; links are not resolved."""
    if isinstance(path, StorePath):
        return path
    return Path(os.path.normpath(path.absolute()))


def distinct_stems(names: Sequence[str]) -> dict[str, str]:
    """For files that are made of others: names without suffix, which no two of them share.

    Names that differ in the suffix only keep it, and case counts for nothing, as on some file
    systems.

    Args:
        names: different paths within a folder, with forward slashes.

    Returns:
        A path without suffix, or the name itself, by name.
    """
    stems = {name: PurePosixPath(name).with_suffix("").as_posix() for name in names}
    while True:
        counts = Counter(stem.casefold() for stem in stems.values())
        shared = [name for name, stem in stems.items() if counts[stem.casefold()] > 1]
        # More than one round: "a.png", once it keeps its suffix, meets the stem of "a.png.gif".
        renamed = [name for name in shared if stems[name] != name]
        if not renamed:
            return stems
        stems.update(zip(renamed, renamed, strict=True))


class OtherFiles(Counter[str]):
    """How many files of a folder were passed over because of their suffix, by suffix."""

    def add(self, path: FilePath) -> None:
        """Count a file."""
        self[path.suffix.lower()] += 1

    def describe(self, place: FilePath | str, wanted: str = "images") -> list[str]:
        """A line that tells what was passed over, if anything was."""
        if not self:
            return []
        common = sorted(self.items(), key=lambda item: (-item[1], item[0]))
        kinds = [f"{count} {suffix or 'without suffix'}" for suffix, count in common[:_KINDS]]
        kinds += ["..."] if len(common) > _KINDS else []
        total = sum(self.values())
        return [
            f"{place}: {total} file{'s' if total > 1 else ''} not named like {wanted} passed over "
            f"({', '.join(kinds)})"
        ]


def walk_images(
    folder: Path, exclude: Iterable[Path] = (), others: OtherFiles | None = None
) -> Iterator[Path]:
    """Images in a folder and its subfolders, sorted; see ``walk_files``."""
    yield from walk_files(folder, is_image_file, exclude, others)


def images_in(folder: FilePath, others: OtherFiles) -> Iterator[FilePath]:
    """Images in a folder and its subfolders; see :func:`files_in`.

    Raises:
        FileNotFoundError: if there is no such folder on this machine.
        OSError: if a store cannot be listed or asked; names the address.
    """
    yield from files_in(folder, is_image_name, others, "images")


def files_in(
    folder: FilePath, is_called: Callable[[FilePath], bool], others: OtherFiles, wanted: str
) -> Iterator[FilePath]:
    """Files of a kind in a folder and its subfolders, wherever it is; a store's with their states.

    Those of this machine are sorted, a store's come in its order. Hidden ones are left out.

    Args:
        folder: if a store has no such folder, it has no files.
        is_called: whether a file of a name is of the kind.
        others: files of other kinds are counted here.
        wanted: what they are, for messages.

    Raises:
        FileNotFoundError: if there is no such folder on this machine.
        OSError: if a store cannot be listed or asked; names the address.
    """
    if isinstance(folder, Path):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of {wanted}")
        yield from walk_files(
            folder, lambda path: is_called(path) and path.is_file(), others=others
        )
        return

    def called() -> Iterator[StorePath]:
        for _, file in walk_store(folder.address):
            if is_called(file):
                yield file
            else:
                others.add(file)

    yield from with_states(called(), folder)


def walk_files(
    folder: Path,
    is_wanted: Callable[[Path], bool],
    exclude: Iterable[Path] = (),
    others: OtherFiles | None = None,
) -> Iterator[Path]:
    """Files of a kind in a folder and its subfolders, sorted.

    Hidden files and folders are left out. Links are followed; each folder is visited once.

    Args:
        folder: an existing folder.
        is_wanted: whether a file is of the kind.
        exclude: resolved folders that are not searched.
        others: files of other kinds are counted here.
    """
    excluded = frozenset(exclude)
    seen: set[Path] = set()

    def walk(place: Path) -> Iterator[Path]:
        resolved = place.resolve()
        if resolved in excluded or resolved in seen:
            return
        seen.add(resolved)
        for name in sorted(os.listdir(place)):  # noqa: PTH208 (a million paths would be large)
            if name.startswith("."):
                continue
            path = place / name
            if path.is_dir():
                yield from walk(path)
            elif is_wanted(path):
                yield path
            elif others is not None and path.is_file():
                others.add(path)

    yield from walk(folder)
