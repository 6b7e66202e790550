"""What is written lies apart from what is read, and can be written: checked before any work."""

import errno
import os
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from trace_mm.files.atomic import temporary_path

AnyPath = str | os.PathLike[str]
_Identity = tuple[int, int]  # device and inode, which links and spellings of a path have in common


def check_outputs(
    *,
    files: Iterable[AnyPath | None] = (),
    folders: Iterable[AnyPath | None] = (),
    read: Iterable[AnyPath | None] = (),
    searched: Iterable[AnyPath | None] = (),
) -> None:
    """Refuse to write onto what is read, or where nothing can be written.

    Files are recognised through links, and whatever the spelling on file systems that ignore case.
    Paths that are None are left out, and what is read but not there is for others to complain of.
    Nothing is left behind.

    Args:
        files: that will be written.
        folders: in which files of any name will be written.
        read: files and folders that must stay as they are; results may lie beside or in them.
        searched: folders of which all files are read, by this run or the next: nothing may be
            written in them. Files among them are as in ``read``.

    Raises:
        ValueError: if something would be written onto, among or around what is read; names both.
        OSError: if something cannot be written, such as a file where there is a folder; names it.
    """
    written, opened, lists = list(_paths(files)), list(_paths(folders)), list(_paths(searched))
    for target in written:
        if target.is_dir():
            raise ValueError(f"{target} is a folder; name a file to write")
    targets, above = _existing((*written, *opened)), cache(_identities_from)
    holders = _existing(opened)
    sources = (os.fspath(path) for path in chain(read, lists) if path is not None)
    for source in sources if targets else ():  # perhaps a million images, so as text
        onto = targets.get(_identity(source))
        if onto is not None:
            raise ValueError(f"{onto} would be written onto {source}, which is read")
        for identity in holders.keys() & above(_place(source)):
            raise ValueError(
                f"{source}, which is read, lies in {holders[identity]}: write elsewhere"
            )
    searches = {key: folder for key, folder in _existing(lists).items() if folder.is_dir()}
    for target in (*written, *opened):
        for identity in searches.keys() & above(_place(target)):
            raise ValueError(
                f"{target} lies in {searches[identity]}, which is read: write elsewhere"
            )
    for target in written:
        _check_writable(target.parent)
    for target in opened:
        _check_writable(target)


def _paths(paths: Iterable[AnyPath | None]) -> Iterator[Path]:
    return (Path(path) for path in paths if path is not None)


def _existing(paths: Iterable[Path]) -> dict[_Identity | None, Path]:
    found = {_identity(path): path for path in paths}
    found.pop(None, None)
    return found


def _place(path: AnyPath) -> str:
    """The folder that a path, which need not be there, lies in."""
    return os.path.dirname(os.path.realpath(path) if os.path.islink(path) else path)  # noqa: PTH114, PTH120


def _identities_from(folder: str) -> frozenset[_Identity]:
    """Of a folder and all above it, as far as they are there."""
    resolved = Path(folder).resolve()
    found = (_identity(place) for place in (resolved, *resolved.parents))
    return frozenset(identity for identity in found if identity is not None)


def _identity(path: AnyPath) -> _Identity | None:
    try:
        state = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # not there, or no path of this system
        return None
    return state.st_dev, state.st_ino


def _check_writable(folder: Path) -> None:
    """Try to write a file in a folder, or in the one that it would be made in."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, so no folder can be there", str(place))
    trial = temporary_path(place / "trial")
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(folder)) from None
