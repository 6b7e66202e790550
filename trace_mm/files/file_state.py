"""Whether a file is still what it was."""

from pathlib import Path


def file_state(path: Path) -> dict[str, int]:
    """``size`` in bytes and ``modified``, a time in nanoseconds; -1 if it cannot be read."""
    try:
        state = path.stat()
    except OSError:  # reading it later says what is wrong
        return {"size": -1, "modified": -1}
    return {"size": state.st_size, "modified": state.st_mtime_ns}
