"""Files that are there whole or not at all."""

import os
import secrets
import shutil
import time
from pathlib import Path

TEMPORARY_SUFFIX = ".trace-tmp"
_ABANDONED = 24 * 3600  # seconds without a change


def temporary_path(target: Path) -> Path:
    """A hidden name beside a file or folder to write, which no other writer uses.

    It is random, because process numbers repeat: two containers or machines that share a file
    system often have the same.
    """
    return target.parent / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that, whatever happens, it is all there or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the data must be on disk before the name is
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = os.fspath(path)  # writing, unlike opening, does not say
        raise


def remove_abandoned_folders(parent: Path) -> None:
    """Remove unfinished folders of runs that were killed: those that nobody changed for a day."""
    for folder in parent.glob(f".*{TEMPORARY_SUFFIX}"):
        if folder.is_dir() and time.time() - _last_change(folder) > _ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


def _last_change(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
