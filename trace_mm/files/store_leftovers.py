"""What killed runs have left in stores where a file is written under another name first."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from trace_mm.files.atomic import TEMPORARY_SUFFIX
from trace_mm.files.file_systems import renames
from trace_mm.files.retries import persistently

_ABANDONED = timedelta(days=1)  # without a change: nobody keeps others from writing to a store


def remove_leftovers(folder: str, subfolders: bool = False) -> None:
    """Remove hidden files that nobody writes any more.

    Object stores have none: there, objects appear whole.

    Args:
        folder: address; need not exist.
        subfolders: also of these.

    Raises:
        OSError: if one cannot be removed; names the folder.
    """
    persistently(folder, "cleared", partial(_clear, subfolders=subfolders))


def _clear(system: Any, path: str, subfolders: bool) -> None:
    if not renames(system):
        return
    system.invalidate_cache(path)
    for name in system.find(path, maxdepth=None if subfolders else 1):
        last = name.rpartition("/")[2]
        if last.startswith(".") and last.endswith(TEMPORARY_SUFFIX) and _is_old(system, name):
            system.rm_file(name)


def _is_old(system: Any, path: str) -> bool:
    try:
        changed: datetime = system.modified(path)
    except (NotImplementedError, FileNotFoundError):  # it does not tell; another run has removed it
        return False
    changed = changed if changed.tzinfo else changed.replace(tzinfo=UTC)
    return datetime.now(UTC) - changed > _ABANDONED
