"""The journal of a run: its settings, and a record of each item that is done or has failed.

JSON lines. The first holds the format and the settings; after it comes a line an item. While a run
goes on, each process that writes has a part of its own beside the journal, so that a kill can tear
the last line of a part only, which then counts as not written. At the end, parts are merged into
the journal in the order of the keys: equal runs leave equal journals.

In memory there are 8 bytes an item of the run; records are read when they are asked for. Of records
of other items, which the same place may hold, there are 16 bytes each besides their keys.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Self

from trace_mm.files.atomic import put_in_place, written_whole
from trace_mm.runs.packed import Keys, PackedStrings, rising
from trace_mm.runs.records import Record, check_settings, json_line, parse_line, read_record

FORMAT = 2
_FILES = 2**12  # a position is an offset times this plus the number of a file
_ABSENT = -1


@dataclass
class _File:
    """A journal or a part of it that is open to be read.

    Attributes:
        path: where it is.
        stream: its bytes.
        records: how many it holds.
        whole: whether it holds nothing else, such as a torn line.
    """

    path: Path
    stream: BinaryIO
    records: int = 0
    whole: bool = True


class Journal:
    """What a journal and its parts hold, by the keys of a run; a context that closes it.

    Args:
        path: of the journal; parts lie beside it. Neither need be there.
        settings: of the run, as JSON values.
        keys: of the run's items.
        rank: of this process among those that share the run, which names the part it appends to.

    Raises:
        ValueError: if it holds results of other settings, or is no journal of this format; names
            the file.
    """

    def __init__(self, path: Path, settings: dict[str, Any], keys: Keys, rank: int = 0) -> None:
        self.path, self.settings, self.keys = path, settings, keys
        self._positions = array("q", [_ABSENT]) * len(keys)
        self._failed: set[int] = set()  # numbers of the keys
        self._other_keys, self._other_positions = PackedStrings(), array("q")
        self._files: list[_File] = []
        self._in_order, self._last = True, ""  # whether keys rise; the last one read
        self._part, self._part_number = JournalPart(path, rank, settings), _ABSENT
        self._scan_new()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._part.close()
        for file in self._files:
            file.stream.close()

    def has(self, number: int) -> bool:
        """Whether there is a record of an item, by the number of its key."""
        return self._positions[number] != _ABSENT

    def record(self, number: int) -> Record | None:
        """The record of an item, by the number of its key; None if there is none."""
        return self._read(self._positions[number]) if self.has(number) else None

    def records(self) -> Iterator[Record]:
        """The records of this run's items, in the order of their keys."""
        for position in self._positions:
            if position != _ABSENT:
                yield self._read(position)

    def failures(self) -> Iterator[Record]:
        """Those of the items that failed."""
        return (self._read(self._positions[number]) for number in sorted(self._failed))

    def other_records(self) -> Iterator[Record]:
        """The records of other items."""
        return (self._read(position) for _, position in self._others())

    def add(self, number: int, record: Record) -> None:
        """Append the record of an item to the part of this process; it replaces an earlier one.

        Args:
            number: of its key.
            record: of the item.
        """
        offset = self._part.add(record)
        if self._part_number == _ABSENT:
            self._part_number = len(self._files)
            self._files.append(_File(self._part.path, self._part.path.open("rb")))
        self._note(number, record, offset * _FILES + self._part_number)

    def merge(self, keep_others: bool) -> None:
        """Bring all records into one file, in the order of their keys, and remove the parts.

        Args:
            keep_others: whether records of items that are not of this run stay.
        """
        self._part.close()
        self._scan_new()
        holders = [file for file in self._files if file.records] or self._files[:1]
        as_it_is = len(holders) == 1 and holders[0].whole and self._in_order
        if not as_it_is or (self._other_keys and not keep_others):
            self._write(keep_others)
        elif holders[0].path != self.path:
            self.close()  # Windows moves no open file, and replaces none
            put_in_place(holders[0].path, self.path)
            holders[0].path, holders[0].stream = self.path, self.path.open("rb")
        for path in journal_files(self.path):
            if path != self.path:
                path.unlink()

    def _write(self, keep_others: bool) -> None:
        """Write all records anew, and go on with what is written."""
        keys, positions = PackedStrings(), array("q")
        with written_whole(self.path) as stream:
            offset = stream.write(json_line({"format": FORMAT, "settings": self.settings}))
            for number, key, position in self._ordered(keep_others):
                line = self._line(position)
                if number is None:
                    keys.append(key)
                    positions.append(offset * _FILES)
                else:
                    self._positions[number] = offset * _FILES
                offset += stream.write(line)
            self.close()  # before the journal is replaced: Windows replaces no open file
        count = len(keys) + sum(position != _ABSENT for position in self._positions)
        self._files = [_File(self.path, self.path.open("rb"), count)]
        self._other_keys, self._other_positions, self._in_order = keys, positions, True

    def _ordered(self, keep_others: bool) -> Iterator[tuple[int | None, str, int]]:
        """Number, key and position of all records in the order of keys; others have no number."""
        others = self._others() if keep_others else iter(())
        other = next(others, None)
        for number, position in enumerate(self._positions):
            if position == _ABSENT:
                continue
            key = self.keys[number]
            while other is not None and other[0] < key:
                yield None, *other
                other = next(others, None)
            yield number, key, position
        while other is not None:
            yield None, *other
            other = next(others, None)

    def _others(self) -> Iterator[tuple[str, int]]:
        """Key and position of the last record of each other item, in the order of keys."""
        keys = self._other_keys
        for key, numbers in groupby(rising(keys), keys.__getitem__):
            *_, last = numbers
            yield key, self._other_positions[last]

    def _scan_new(self) -> None:
        """Note where records are in the files that are not open yet."""
        known = {file.path for file in self._files}
        for path in journal_files(self.path):
            if path not in known:
                self._scan(path)

    def _scan(self, path: Path) -> None:
        """Note where a file's records are; a later one of the same key replaces an earlier one."""
        number, file = len(self._files), _File(path, path.open("rb"))
        self._files.append(file)
        line = file.stream.readline()
        file.whole = line.endswith(b"\n")
        if path != self.path and not file.whole:
            return  # a part of which nothing was written, or that has just been begun
        _check_header(path, line, self.settings)
        offset, expected = len(line), 0
        for line in file.stream:
            record = read_record(line) if line.endswith(b"\n") else None
            if record is None:
                file.whole = False
            else:
                found = self.keys.find(record.key, expected)
                self._note(found, record, offset * _FILES + number)
                expected = expected if found is None else found + 1
            offset += len(line)

    def _note(self, number: int | None, record: Record, position: int) -> None:
        self._files[position % _FILES].records += 1
        self._in_order = self._in_order and self._last < record.key
        self._last = record.key
        if number is None:
            self._other_keys.append(record.key)
            self._other_positions.append(position)
            return
        self._positions[number] = position
        if record.error is not None:
            self._failed.add(number)
        else:
            self._failed.discard(number)

    def _line(self, position: int) -> bytes:
        stream = self._files[position % _FILES].stream
        stream.seek(position // _FILES)
        return stream.readline()

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

    Attributes:
        path: of the part.
    """

    def __init__(self, path: Path, rank: int, settings: dict[str, Any]) -> None:
        self.path = path.with_name(f"{path.stem}.rank-{rank:04d}{path.suffix}")
        self._settings = settings
        self._file: BinaryIO | None = None
        self._size = 0

    def add(self, record: Record) -> int:
        """Append a record. A later one of the same key replaces it.

        Returns:
            Where its line begins.
        """
        if self._file is None:
            self._file = self.path.open("wb")
            header = {"format": FORMAT, "settings": self._settings}
            self._size = self._file.write(json_line(header))
        offset = self._size
        self._size += self._file.write(record.line())
        self._file.flush()  # to the system, which outlives a killed process
        return offset

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
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


def listed_outputs(path: Path) -> Iterator[tuple[str, int]]:
    """Files that a journal and its parts list, with their sizes, whatever settings and format."""
    for file in journal_files(path):
        with file.open("rb") as stream:
            for line in stream:
                value = parse_line(line) if line.endswith(b"\n") else None
                outputs = value.get("outputs") if value is not None else None
                yield from outputs.items() if isinstance(outputs, dict) else ()


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
