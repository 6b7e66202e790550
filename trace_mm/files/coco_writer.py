"""COCO files of any size, written as their images and annotations come."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from trace_mm.files.atomic import written_whole


def write_coco(
    path: Path,
    info: Mapping[str, Any],
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    categories: Iterable[Mapping[str, Any]],
) -> None:
    """Write a COCO or COCO-panoptic file, whole or not at all, holding one entry at a time.

    It is ASCII, so that file names with undecodable bytes survive.

    Args:
        path: of the file; its folder is made.
        info: what the file says of itself.
        images: read to their end before the first annotation is, so that both may come from one
            file that is read twice.
        annotations: likewise.
        categories: likewise.

    Raises:
        OSError: if it cannot be written; names ``path``.
    """
    with written_whole(path) as stream:
        stream.write(b'{"info": ' + _json(info))
        for key, entries in (
            ("images", images),
            ("annotations", annotations),
            ("categories", categories),
        ):
            stream.write(f', "{key}": ['.encode("ascii"))
            _write_entries(stream, entries)
            stream.write(b"]")
        stream.write(b"}\n")


def _write_entries(stream: BinaryIO, entries: Iterable[Mapping[str, Any]]) -> None:
    separator = b""
    for entry in entries:
        stream.write(separator + _json(entry))
        separator = b", "


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii")
