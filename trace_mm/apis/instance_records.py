"""What a run has done so far, image by image, and the COCO file that it becomes.

Each rank appends to a JSON-lines file of its own, whose first line holds the settings. A kill can
tear a last line only, which then counts as not written. Ranks may change between two runs: all
files are read.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, overload

from trace_mm.apis.json_lines import differing_settings, json_line, parse_line
from trace_mm.files import write_atomically

FileState = tuple[int, int]


@dataclass(frozen=True)
class Record:
    """What became of one image.

    Attributes:
        name: of the image in the COCO file, its path within the folder.
        bytes: size of the image file.
        modified: its modification time in nanoseconds.
        height: of the image.
        width: of the image.
        annotations: COCO annotations without ids.
        notes: what was left out of them, and why.
        remarks: what else is to be known.
        edges: the state of the edges that they were made by, if these come from a file.
        error: why it failed; None if it is done.
    """

    name: str
    bytes: int = -1
    modified: int = -1
    height: int = 0
    width: int = 0
    annotations: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    edges: str = ""
    error: str | None = None


AnyRecord = TypeVar("AnyRecord", bound=Record)


class RecordFile:
    """One rank's records, open for appending; a context that closes them.

    Args:
        path: of the file, which is made if needed.
        settings: everything that the masks depend on, as JSON values.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        # What follows the last newline was torn by a kill.
        kept = path.read_bytes().rpartition(b"\n")[0] if path.is_file() else b""
        lines = kept + b"\n" if kept else json_line({"settings": settings})
        write_atomically(path, lines)
        self._file: BinaryIO = path.open("ab")

    def add(self, record: Record) -> None:
        """Append a record. A later one of the same name replaces it."""
        self._file.write(json_line(asdict(record)))
        self._file.flush()  # to the system, which outlives a killed process

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


@overload
def read_records(
    paths: Iterable[Path], settings: dict[str, Any], states: dict[str, FileState]
) -> dict[str, Record]: ...


@overload
def read_records(
    paths: Iterable[Path],
    settings: dict[str, Any],
    states: dict[str, FileState],
    kind: type[AnyRecord],
) -> dict[str, AnyRecord]: ...


def read_records(
    paths: Iterable[Path],
    settings: dict[str, Any],
    states: dict[str, FileState],
    kind: type[Any] = Record,
) -> dict[str, Any]:
    """The records of all ranks by name; a finished one goes before a failed one.

    Args:
        paths: the files; one that does not hold a whole line counts as empty.
        settings: that they must have been written with.
        states: of each image file now, by name; records of other files or states are left out.
        kind: ``Record``, or a class of more fields.

    Raises:
        ValueError: if a file holds results of other settings, or is no such file; names it.
    """
    records: dict[str, Record] = {}
    for path in sorted(paths):
        previous, values = read_record_file(path)
        if previous is not None:
            _check_settings(path, previous, settings)
        for value in values:
            if value.keys() != kind.__dataclass_fields__.keys():
                continue
            record = kind(**value)
            known = records.get(record.name)
            if states.get(record.name) == (record.bytes, record.modified) and (
                known is None or record.error is None or known.error is not None
            ):
                records[record.name] = record
    return records


def read_record_file(path: Path) -> tuple[dict[str, Any] | None, Iterator[dict[str, Any]]]:
    """The settings of a file, None if it is empty, and its records that are not torn."""
    header, *lines = path.read_bytes().split(b"\n")[:-1] or [b""]
    if not header:
        return None, iter(())
    content = parse_line(header)
    if content is None or content.keys() != {"settings"}:
        raise ValueError(f"{path}: damaged, or not written by this program")
    return content["settings"], (value for value in map(parse_line, lines) if value is not None)


def file_state(path: Path) -> FileState:
    """Size in bytes and modification time in nanoseconds; (-1, -1) if it cannot be read."""
    try:
        state = path.stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def coco_content(
    records: dict[str, Record],
    ids: dict[str, int],
    info: dict[str, Any],
    categories: dict[int, str] | None = None,
) -> dict[str, Any]:
    """The COCO file of finished records: images by rising id, annotations likewise.

    Args:
        records: by name; failed ones are left out.
        ids: image id by name, of all of them.
        info: what the file says of itself.
        categories: name by id; None is one category of all objects.
    """
    done = sorted(
        (record for record in records.values() if record.error is None),
        key=lambda record: ids[record.name],
    )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in done:
        images.append(
            {
                "id": ids[record.name],
                "file_name": record.name,
                "height": record.height,
                "width": record.width,
            }
        )
        for annotation in record.annotations:
            ahead = {"id": len(annotations) + 1, "image_id": ids[record.name]}
            annotations.append({**ahead, **annotation})
    return {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": id, "name": name} for id, name in (categories or {1: "object"}).items()
        ],
    }


def json_bytes(content: dict[str, Any]) -> bytes:
    """A JSON file, ASCII so that names with undecodable bytes survive."""
    return json.dumps(content).encode("ascii") + b"\n"


def _check_settings(path: Path, previous: dict[str, Any], now: dict[str, Any]) -> None:
    differing = differing_settings(previous, now)
    if differing:
        raise ValueError(
            f"{path} holds results of other settings: {differing}. Choose another file, or "
            f"--overwrite to start anew"
        )
