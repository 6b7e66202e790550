"""Whether a file is still what it was."""

from pathlib import Path
from typing import Any, overload

from trace_mm.files.store_paths import FilePath
from trace_mm.files.stores import state_of


@overload
def file_state(path: Path) -> dict[str, int]: ...
@overload
def file_state(path: FilePath) -> dict[str, Any]: ...
def file_state(path: FilePath) -> dict[str, Any]:
    """``size`` in bytes, and ``modified``, a time in nanoseconds; both -1 if it cannot be read.

    Of a store's file, ``version`` comes in place of the time, and both are what the listing said in
    which it was found.
    """
    if isinstance(path, Path):
        try:
            status = path.stat()
        except OSError:  # reading it later says what is wrong
            return {"size": -1, "modified": -1}
        return {"size": status.st_size, "modified": status.st_mtime_ns}
    try:
        state = path.state or state_of(path.address)
    except OSError:
        state = None
    size = -1 if state is None or state.size is None else state.size
    return {"size": size, "version": "" if state is None else state.version}
