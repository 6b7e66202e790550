"""Shards that a user points at, and what the shards of their results are called."""

import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from typing import overload

from trace_mm.files.addresses import is_address
from trace_mm.files.brace_names import BraceNames, has_braces
from trace_mm.files.folders import absolute_path

_SHARD = re.compile(r"\.(tar|tar\.gz|tgz)$", re.IGNORECASE)


def is_shard(name: str | os.PathLike[str]) -> bool:
    """Whether a path, address or pattern is called like shards: ``.tar``, ``.tar.gz``, ``.tgz``."""
    return _SHARD.search(os.fspath(name)) is not None


def result_name(address: str, root: str) -> str:
    """What the results of a shard are called, where all lie in the folder ``root``."""
    return _SHARD.sub(".tar", address.removeprefix(root).lstrip("/"))


class ShardNames(Sequence[str]):
    """Addresses of shards, and a name of each for its results; none is held.

    A name is the path from the folder that all shards have in common, and ends in ``.tar``.

    Args:
        patterns: paths or addresses, with braces as :class:`BraceNames` reads them or without.

    Attributes:
        root: the folder that all have in common, a local one as an absolute path.
        patterns: as given, local ones as absolute paths.
        nested: whether names hold folders.

    Raises:
        ValueError: if one is not called like a shard, some have no folder in common or would share
            a name, or there is none.

    Examples:
        >>> shards = ShardNames(["s3://bucket/{train,val}/{000..999}.tar"])
        >>> shards[1000], shards.name(1000)
        ('s3://bucket/val/000.tar', 'val/000.tar')
    """

    def __init__(self, patterns: Sequence[str | os.PathLike[str]]) -> None:
        texts = [os.fspath(pattern) for pattern in patterns]
        others = [text for text in texts if not is_shard(text)]
        if others or not texts:
            raise ValueError(
                f"{others[0]}: shards are called .tar, .tar.gz or .tgz, and are read by themselves"
                if others
                else "there are no shards"
            )
        if len({is_address(text) for text in texts}) > 1:
            raise ValueError(f"{texts[0]} and others are not all local, or all of a store")
        self._parts = [BraceNames(text) for text in texts]
        self._ends = list(accumulate(len(part) for part in self._parts))
        self.root = _common_folder([_folder(text) for text in texts])
        self.patterns = [_absolute(text) for text in texts]
        self.nested = any("/" in result_name(pattern, self.root) for pattern in self.patterns)
        if len(texts) > 1:
            self._check_distinct()

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """An address, or those of a slice as a list."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        part = bisect_right(self._ends, number)
        return self._parts[part][number - (self._ends[part - 1] if part else 0)]

    def __iter__(self) -> Iterator[str]:
        for part in self._parts:
            yield from part

    def __repr__(self) -> str:
        return f"ShardNames({[part.pattern for part in self._parts]!r})"

    def name(self, number: int) -> str:
        """Of the results of a shard, by its number."""
        return self.name_of(self[number])

    def name_of(self, address: str) -> str:
        """Of the results of a shard, by its address."""
        return result_name(_absolute(address), self.root)

    def _check_distinct(self) -> None:
        seen: dict[str, str] = {}
        for address in self:
            name = self.name_of(address)
            if name in seen:
                raise ValueError(f"results of {seen[name]} and {address} would have the same name")
            seen[name] = address


def _folder(pattern: str) -> str:
    """The folder that all names of a pattern lie in."""
    fixed = pattern[: pattern.index("{")] if has_braces(pattern) else pattern
    return _absolute(fixed.rpartition("/")[0] + "/" if "/" in fixed else ".")


def _absolute(name: str) -> str:
    return name if is_address(name) else absolute_path(Path(name)).as_posix()


def _common_folder(folders: list[str]) -> str:
    parts = [folder.rstrip("/").split("/") for folder in folders]
    shared = [
        level[0]
        for level in takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))
    ]
    if is_address(folders[0]) and len(shared) < 3:  # "s3:", "", "bucket"
        raise ValueError(f"{folders[0]} and {folders[-1]} have no folder in common")
    return "/".join(shared) or "/"
