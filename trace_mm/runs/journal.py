"""The journal of a run: its settings, and a record of each item that is done or has failed.

JSON lines. The first holds the format and the settings; after it comes a line an item. While a run
goes on, each process that writes has a part of its own beside the journal, so that a kill can tear
the last line of a part only, which then counts as not written. At the end, parts are merged into
the journal in the order of the keys: equal runs leave equal journals.

In memory there are 8 bytes an item of the run; records are read when they are asked for. Of records
of other items, which the same place may hold, the keys are in memory.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from trace_mm.files.atomic import written_whole
from trace_mm.runs.packed import Keys
from trace_mm.runs.records import Record, check_settings, json_line, parse_line, read_record

FORMAT = 2
_FILES = 2**12  # a position is an offset times this plus the number of a file
_ABSENT = -1


class Journal:
    """What a journal and its parts hold, by the keys of a run.

    Args:
        path: of the journal; parts lie beside it. Neither need be there.
        settings: of the run, as JSON values.
        keys: of the run's items.

    Attributes:
        others: how many records there are of items that are not of this run.

    Raises:
        ValueError: if it holds results of other settings, or is no journal of this format; names
            the file.
    """

    def __init__(self, path: Path, settings: dict[str, Any], keys: Keys) -> None:
        self.path, self.settings, self.keys = path, settings, keys
        self._positions = array("q", [_ABSENT]) * len(keys)
        self._others: dict[str, int] = {}
        self._files: list[BinaryIO] = []
        self._in_order, self._last = True, ""  # whether keys rise; the last one read
        self._expected = 0  # the number of the key that is probably next
        for file in journal_files(path):
            self._scan(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()

    @property
    def others(self) -> int:
        """How many records there are of items that are not of this run."""
        return len(self._others)

    def record(self, number: int) -> Record | None:
        """The record of an item, by the number of its key; None if there is none."""
        position = self._positions[number]
        return None if position == _ABSENT else self._read(position)

    def records(self) -> Iterator[Record]:
        """The records of this run's items, in the order of their keys."""
        for position in self._positions:
            if position != _ABSENT:
                yield self._read(position)

    def other_records(self) -> Iterator[Record]:
        """The records of other items."""
        for key in sorted(self._others):
            yield self._read(self._others[key])

    def merge(self, keep_others: bool) -> None:
        """Write all records into one file, in the order of their keys, and remove the parts.

        Args:
            keep_others: whether records of items that are not of this run stay.
        """
        parts = [file for file in journal_files(self.path) if file != self.path]
        if self._files and not parts and self._in_order and (keep_others or not self._others):
            return  # as it would be written
        others: dict[str, int] = {}
        with written_whole(self.path) as stream:
            offset = stream.write(json_line({"format": FORMAT, "settings": self.settings}))
            for number, key, position in self._ordered(keep_others):
                line = self._line(position)
                if number is None:
                    others[key] = offset * _FILES
                else:
                    self._positions[number] = offset * _FILES
                offset += stream.write(line)
            self.close()  # before the journal is replaced: Windows replaces no open file
        for part in parts:
            part.unlink()
        self._files, self._others, self._in_order = [self.path.open("rb")], others, True

    def _ordered(self, keep_others: bool) -> Iterator[tuple[int | None, str, int]]:
        """Number, key and position of all records in the order of keys; others have no number."""
        others = iter(sorted(self._others) if keep_others else [])
        other = next(others, None)
        for number, position in enumerate(self._positions):
            if position == _ABSENT:
                continue
            key = self.keys[number]
            while other is not None and other < key:
                yield None, other, self._others[other]
                other = next(others, None)
            yield number, key, position
        while other is not None:
            yield None, other, self._others[other]
            other = next(others, None)

    def _scan(self, path: Path) -> None:
        """Note where a file's records are; a later one of the same key replaces an earlier one."""
        file = path.open("rb")
        number = len(self._files)
        self._files.append(file)
        line = file.readline()
        if path != self.path and not line.endswith(b"\n"):
            return  # a part of which nothing was written, or that has just been begun
        _check_header(path, line, self.settings)
        offset = file.tell()
        for line in iter(file.readline, b""):
            record = read_record(line) if line.endswith(b"\n") else None
            if record is not None:
                self._note(record, offset * _FILES + number)
            offset += len(line)

    def _note(self, record: Record, position: int) -> None:
        self._in_order = self._in_order and self._last < record.key
        self._last = record.key
        number = self.keys.find(record.key, self._expected)
        if number is None:
            self._others[record.key] = position
        else:
            self._positions[number] = position
            self._expected = number + 1

    def _line(self, position: int) -> bytes:
        file = self._files[position % _FILES]
        before = file.tell()
        file.seek(position // _FILES)
        line = file.readline()
        file.seek(before)  # this file may be in the middle of its scan
        return line

    def _read(self, position: int) -> Record:
        record = read_record(self._line(position))
        if record is None:
            raise ValueError(f"{self.path}: changed while it was read")
        return record


class JournalPart:
    """What one process appends its records to; a context that closes it.

    The file is begun with the first record: where nothing is done, the journal stays as it is.

    Args:
        path: of the journal.
        rank: of the process among those that share the run.
        settings: of the run, as JSON values.
    """

    def __init__(self, path: Path, rank: int, settings: dict[str, Any]) -> None:
        self._path = path.with_name(f"{path.stem}.rank-{rank:04d}{path.suffix}")
        self._header = json_line({"format": FORMAT, "settings": settings})
        self._file: BinaryIO | None = None

    def add(self, record: Record) -> None:
        """Append a record. A later one of the same key replaces it."""
        if self._file is None:
            self._file = self._path.open("wb")
            self._file.write(self._header)
        self._file.write(record.line())
        self._file.flush()  # to the system, which outlives a killed process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def journal_files(path: Path) -> list[Path]:
    """A journal, if it is there, and its parts."""
    parts = sorted(path.parent.glob(f"{path.stem}.rank-*{path.suffix}"))
    return [*([path] if path.is_file() else []), *parts]


def is_empty(path: Path) -> bool:
    """Whether a journal and its parts are of this format and hold no record."""
    for file in journal_files(path):
        with file.open("rb") as stream:
            header = stream.readline()
            if file != path and not header.endswith(b"\n"):
                continue  # a part of which nothing was written
            if stream.readline().endswith(b"\n") or _settings_of(header) is None:
                return False
    return True


def listed_outputs(path: Path) -> Iterator[str]:
    """Paths of the files that a journal and its parts list, whatever their settings and format."""
    for file in journal_files(path):
        with file.open("rb") as stream:
            for line in stream:
                value = parse_line(line) if line.endswith(b"\n") else None
                outputs = value.get("outputs") if value is not None else None
                yield from outputs if isinstance(outputs, dict) else ()


def _check_header(path: Path, line: bytes, settings: dict[str, Any]) -> None:
    previous = _settings_of(line)
    if previous is None:
        raise ValueError(
            f"{path} is damaged, or not a journal of this version of trace_mm: choose another "
            f"place, or --overwrite to start anew"
        )
    check_settings(path.parent, previous, settings)


def _settings_of(line: bytes) -> dict[str, Any] | None:
    """The settings that a first line holds; None if it is none of this format."""
    header = parse_line(line) if line.endswith(b"\n") else None
    if header is None or header.get("format") != FORMAT:
        return None
    settings = header.get("settings")
    return settings if isinstance(settings, dict) else None
