"""Folders that are there whole or not at all."""

import ctypes
import os
import shutil
import sys
from pathlib import Path

from trace_mm.files.atomic import remove_abandoned, temporary_path
from trace_mm.files.outputs import check_outputs

_HERE = -100  # AT_FDCWD: paths are of the working folder
_EXCHANGE = 2  # RENAME_EXCHANGE


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in a single step (Linux); False if this system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    paths = os.fsencode(one), os.fsencode(other)
    return rename is not None and rename(_HERE, paths[0], _HERE, paths[1], _EXCHANGE) == 0


def check_replaceable(out: Path, marker: str, overwrite: bool) -> None:
    """Refuse a folder that holds something, unless that is an earlier result and may go.

    Args:
        out: folder to write; need not exist.
        marker: name of a file that is in every result of the kind.
        overwrite: whether an earlier result is replaced.

    Raises:
        ValueError: if it must stay as it is, or is no folder; names it.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is not a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / marker).is_file():
        raise ValueError(f"{out} is not empty, and not of an earlier export: choose another folder")
    if not overwrite:
        raise ValueError(f"{out} is there from an earlier export: --overwrite replaces it")


class WholeFolder:
    """A folder that is written under another name, beside its place, and put there when complete.

    Args:
        out: where it will be.
        marker: name of a file that is written in it, by which a later call knows it.
        overwrite: whether an earlier one is replaced.

    Attributes:
        partial: where to write until then.

    Raises:
        ValueError: if another folder is there, see :func:`check_replaceable`.
        OSError: if it cannot be written.
    """

    def __init__(self, out: Path, marker: str, overwrite: bool = False) -> None:
        self.out, self._marker, self._overwrite = out, marker, overwrite
        check_replaceable(out, marker, overwrite)
        check_outputs(folders=[out])
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(out.parent)  # of runs that were killed
        self.partial = temporary_path(out)
        self.partial.mkdir()

    def put_in_place(self, content: bytes) -> None:
        """Let it be the folder that is meant.

        Args:
            content: of the marker.

        Raises:
            ValueError: if something else is there by now.
            OSError: if it cannot be put there; what was there stays.
        """
        check_replaceable(self.out, self._marker, self._overwrite)
        (self.partial / self._marker).write_bytes(content)
        if hasattr(os, "sync"):
            os.sync()  # the data must be on disk before the name is
        if not self.out.is_dir():
            self.partial.replace(self.out)
        elif exchange(self.partial, self.out):
            self.discard()  # what was there
        else:
            self._put_aside()

    def _put_aside(self) -> None:
        """Two steps, for systems that have no single one: a kill between them leaves no folder."""
        old = temporary_path(self.out)
        self.out.replace(old)
        try:
            self.partial.replace(self.out)
        except OSError:
            old.replace(self.out)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was written, if it is not in place."""
        shutil.rmtree(self.partial, ignore_errors=True)
