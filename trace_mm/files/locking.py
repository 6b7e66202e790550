"""Locks that the operating system takes back when their holder dies."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LOCK_FILE = ".trace-mm.lock"

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO, offset: int = 0) -> None:
        file.seek(offset)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: BinaryIO, offset: int = 0) -> None:
        file.seek(offset)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO, offset: int | None = None) -> None:
        if offset is None:  # the whole file; unlike the below, it also keeps out the own process
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset, os.SEEK_SET)

    def _unlock(file: BinaryIO, offset: int = 0) -> None:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, offset, os.SEEK_SET)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder.

    The lock file stays: removing it would let two later runs lock two files of that name.

    Raises:
        ValueError: if another process holds it.
    """
    with (folder / LOCK_FILE).open("a+b") as file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            raise ValueError(f"{folder}: another run is writing to this folder") from None
        yield


@contextmanager
def try_claim(file: BinaryIO, number: int) -> Iterator[bool]:
    """Try to be the only process that works on item ``number``.

    One open file serves any number of items: it stays empty, each item is one lockable position in
    it. A process opens it once: closing it anywhere gives all of its claims back.

    Args:
        file: a lock file that all processes share, open for writing in binary mode.
        number: of the item, in [0, 2^31).

    Yields:
        Whether the item is claimed; False if another process holds it.
    """
    try:
        _lock(file, number)
    except (BlockingIOError, PermissionError):
        yield False
        return
    try:
        yield True
    finally:
        _unlock(file, number)
