"""Which files of a folder are images."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

IMAGE_SUFFIXES = frozenset(
    [".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"]
    + [".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"]
)
"""What a folder is searched for. A file that is named itself may be called anything."""


def is_image_file(path: Path) -> bool:
    """Whether a path is a file that is called like an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


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


def walk_images(folder: Path, exclude: Iterable[Path] = ()) -> Iterator[Path]:
    """Images in a folder and its subfolders, sorted.

    Hidden files and folders are left out. Links are followed; each folder is visited once.

    Args:
        folder: an existing folder.
        exclude: resolved folders that are not searched.
    """
    yield from _walk(folder, frozenset(exclude), set())


def _walk(folder: Path, exclude: frozenset[Path], seen: set[Path]) -> Iterator[Path]:
    resolved = folder.resolve()
    if resolved in exclude or resolved in seen:
        return
    seen.add(resolved)
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, exclude, seen)
        elif is_image_file(path):
            yield path
