"""JSON files, as every system writes them: one way to read them, and one to write them."""

import json
from pathlib import Path
from typing import Any

from trace_mm.files.atomic import write_atomically
from trace_mm.files.members import AnyFile, as_file, content_of


def read_json(path: str | AnyFile, kind: str = "file") -> Any:
    """What a JSON file holds, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    ``NaN`` and ``Infinity`` are read, as Python writes them; who needs a finite number checks it.

    Args:
        path: the file.
        kind: what a message calls a file that is not there, such as "annotation file".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read or is not JSON; names the file and the cause.
    """
    data = content_of(as_file(path), kind)
    try:
        return json.loads(data)  # of bytes, it finds the encoding itself
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; ASCII, so that any system reads it. Makes folders."""
    write_atomically(Path(path), json.dumps(content, separators=(",", ":")).encode("ascii"))
