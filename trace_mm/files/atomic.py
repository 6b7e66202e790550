"""Files that are there whole or not at all."""

import itertools
import os
from pathlib import Path

TEMPORARY_SUFFIX = ".trace-tmp"
_temporary_numbers = itertools.count()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that, whatever happens, it is all there or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = next(_temporary_numbers)
    temporary = path.parent / f".{os.getpid()}-{number}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the data must be on disk before the name is
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = os.fspath(path)  # writing, unlike opening, does not say
        raise
