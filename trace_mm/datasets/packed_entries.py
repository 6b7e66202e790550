"""Entries of a cache in shards: a million small files are a burden to a file system."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trace_mm.files.addresses import join_address
from trace_mm.files.shard_index import Member, has_index, read_member, shard_members, write_index
from trace_mm.files.shards import ShardWriter
from trace_mm.files.stores import list_files

ENTRIES_A_SHARD = 10_000
_PLACE = np.dtype([("shard", np.uint32), ("size", np.uint32), ("offset", np.uint64)])
_SHARD, _ENTRY = ".tar", ".png"
_NAME = re.compile(r"[0-9a-f]{64}\.png")


class _Table(NamedTuple):
    """Where entries are: 24 bytes each, in two arrays, which forked processes share.

    Attributes:
        shards: their addresses.
        keys: first 64 bits of each entry's key, sorted.
        places: of each entry, in the same order.
    """

    shards: list[str]
    keys: NDArray[np.uint64]
    places: NDArray[Any]


class PackedEntries:
    """Entries by their keys, in shards ``000000.tar`` and so on with an index beside each.

    Args:
        folder: path or address; need not be there.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._table: _Table | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_table": None}

    def __len__(self) -> int:
        return len(self._opened().keys)

    def __contains__(self, key: str) -> bool:
        return self._find(key) is not None

    def shards(self) -> list[str]:
        """The addresses of the shards."""
        return list(self._opened().shards)

    def shard(self, key: str) -> str | None:
        """The address of an entry's shard; None if there is no such entry."""
        found = self._find(key)
        return None if found is None else found[0]

    def read(self, key: str) -> bytes | None:
        """An entry; None if there is no such entry.

        Raises:
            ValueError: if its shard is damaged; names it.
            OSError: if it cannot be read; names the address.
        """
        found = self._find(key)
        return None if found is None else read_member(*found)

    def refresh(self) -> bool:
        """Look whether shards have come since; True if so."""
        before, self._table = self._opened().shards, None
        return self._opened().shards != before

    def take(self, folder: Path, size: int, check: Callable[[Path, bytes], None]) -> int:
        """Move entries from files ``KEY[:3]/KEY.png`` into new shards.

        Args:
            folder: of the files.
            size: entries a shard.
            check: refuses a file, given its content, by a ``ValueError``.

        Returns:
            How many entries were moved.
        """
        _complete_indexes(self.folder)
        self.refresh()
        files, count = self._not_packed(folder), 0
        while chunk := list(islice(files, size)):
            names = [Path(shard).name for shard in self._opened().shards]
            number = 1 + max((int(name.removesuffix(_SHARD)) for name in names), default=-1)
            address = join_address(self.folder, f"{number:06d}{_SHARD}")
            with ShardWriter(address) as shard:
                for path in chunk:
                    data = path.read_bytes()
                    check(path, data)
                    shard.add(path.name.removesuffix(_ENTRY), {_ENTRY[1:]: data})
            write_index(address)
            self.refresh()
            for path in chunk:
                _remove(path)
            count += len(chunk)
        return count

    def _not_packed(self, folder: Path) -> Iterator[Path]:
        """Files of entries in the order of their keys; those that are packed are removed."""
        for part in sorted(path for path in folder.glob("[0-9a-f]" * 3) if path.is_dir()):
            for path in sorted(part.iterdir()):
                if not _NAME.fullmatch(path.name):
                    continue
                if path.name.removesuffix(_ENTRY) in self:  # a run was killed here
                    _remove(path)
                else:
                    yield path

    def _find(self, key: str) -> tuple[str, Member] | None:
        table, number = self._opened(), _number(key)
        at = int(np.searchsorted(table.keys, number))
        if at == len(table.keys) or table.keys[at] != number:
            return None
        place = table.places[at]
        member = Member(f"{key}{_ENTRY}", int(place["offset"]), int(place["size"]))
        return table.shards[place["shard"]], member

    def _opened(self) -> _Table:
        if self._table is None:
            self._table = _read_table(self.folder)
        return self._table


def _read_table(folder: str) -> _Table:
    """The indexes of all shards, as one."""
    shards = [join_address(folder, name) for name in _shard_names(folder)]
    keys, places = [np.zeros(0, np.uint64)], [np.zeros(0, _PLACE)]
    for number, shard in enumerate(shards):
        members = shard_members(shard)
        strange = [member.name for member in members if not _NAME.fullmatch(member.name)]
        if strange:
            raise ValueError(f"{shard}: member {strange[0]!r} is no entry of a cache")
        keys.append(np.array([_number(member.name) for member in members], np.uint64))
        rows = [(number, member.size, member.offset) for member in members]
        places.append(np.array(rows, _PLACE))
    joined = np.concatenate(keys)
    order = np.argsort(joined, kind="stable")
    return _Table(shards, joined[order], np.concatenate(places)[order])


def _shard_names(folder: str) -> list[str]:
    return [name for name in list_files(folder) if re.fullmatch(r"\d+\.tar", name)]


def _complete_indexes(folder: str) -> None:
    """Make the indexes that a killed run has not come to."""
    for name in _shard_names(folder):
        shard = join_address(folder, name)
        if not has_index(shard):
            write_index(shard)


def _number(key: str) -> int:
    """The first 64 bits of a key, of which two that differ have hardly ever the same."""
    return int(key[:16], 16)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # others are there
        path.parent.rmdir()
