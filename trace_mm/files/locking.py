"""Locks that the operating system takes back when their holder dies."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LOCK_FILE = ".trace-mm.lock"

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:  # keeps out the own process too, unlike lockf
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(folder: Path, name: str = "") -> Iterator[None]:
    """Hold the lock of an output folder, or of one file in a folder that others write to, too.

    The lock file stays: removing it would let two later runs lock two files of that name.

    Args:
        folder: must be there.
        name: of the file; empty is the folder as a whole.

    Raises:
        ValueError: if another process holds it.
        OSError: if the file system has no locks; names the folder.
    """
    mark = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}" if name else ""
    with (folder / f"{mark}{LOCK_FILE}").open("a+b") as file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            kind = "file" if name else "folder"
            raise ValueError(f"{folder / name}: another run is writing to this {kind}") from None
        except OSError as error:  # some network file systems have none
            raise OSError(error.errno, "its file system has no locks", str(folder)) from error
        yield
