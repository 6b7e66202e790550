"""Files that are there whole or not at all."""

import hashlib
import io
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

TEMPORARY_SUFFIX = ".trace-tmp"
_ABANDONED = 24 * 3600  # seconds without a change


def temporary_path(target: Path) -> Path:
    """A hidden name beside a file or folder to write, which no other writer uses.

    It is random, because process numbers repeat: two containers or machines that share a file
    system often have the same.
    """
    name = f".{_mark(target)}-{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    return target.parent / name


def _mark(target: Path) -> str:
    """What the temporary names of a target begin with: its own name may be too long to hold."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]


class _File(io.FileIO):
    """Says in its errors which file was to be written; writing, unlike opening, does not."""

    def __init__(self, temporary: Path, target: Path) -> None:
        self.target = target
        super().__init__(temporary, "x")

    def write(self, data: Any) -> int:
        with _named(self.target):
            return super().write(data)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A stream to write, which becomes the file ``path`` once all of it is there. Makes folders.

    Whatever happens before, an error of the caller's too, leaves the file as it was.

    Raises:
        OSError: if it cannot be written; names ``path``.

    Examples:
        >>> with written_whole(Path("out.jsonl")) as stream:
        ...     for record in (b"1", b"2"):
        ...         _ = stream.write(record)
        >>> Path("out.jsonl").read_bytes()
        b'12'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with io.BufferedWriter(_File(temporary, path)) as stream:
            yield stream
            stream.flush()
            with _named(path):
                os.fsync(stream.fileno())  # the data must be on disk before the name is
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put_in_place(written: Path, path: Path) -> None:
    """Make a file that was written piece by piece, and is complete, the file ``path``."""
    with written.open("rb+") as stream:
        os.fsync(stream.fileno())
    written.replace(path)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that, whatever happens, it is all there or as it was before."""
    with written_whole(path) as stream:
        stream.write(data)


def remove_temporary_files(
    files: Iterable[Path] = (), folders: Iterable[Path] = (), top: Path | None = None
) -> None:
    """Remove what a killed run has left half-written. Only for who holds the lock of that run.

    Args:
        files: that the run writes; what others write beside them is left alone.
        folders: in which nobody else writes, searched with their subfolders; need not exist.
        top: likewise, but searched without its subfolders.
    """
    found = [path for folder in folders for path in folder.rglob(f".*{TEMPORARY_SUFFIX}")]
    if top is not None:
        found += top.glob(f".*{TEMPORARY_SUFFIX}")
    marks: dict[Path, set[str]] = {}
    for file in files:
        marks.setdefault(file.parent, set()).add(f".{_mark(file)}")
    for parent, own in marks.items():
        beside = parent.glob(f".*{TEMPORARY_SUFFIX}")
        found += [path for path in beside if path.name.partition("-")[0] in own]
    for path in found:
        if path.is_file():
            path.unlink(missing_ok=True)


def remove_abandoned(parent: Path) -> None:
    """Remove what killed runs have left where others may be writing: what is a day old.

    Args:
        parent: folder in which they write; need not exist.
    """
    for path in list(parent.glob(f".*{TEMPORARY_SUFFIX}")):
        try:
            if time.time() - _last_change(path) < _ABANDONED:
                continue
        except FileNotFoundError:  # another run has just finished it
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _last_change(top: Path) -> float:
    """Of a file, or of a folder and all in it."""
    return max(path.lstat().st_mtime for path in (top, *top.rglob("*")))
