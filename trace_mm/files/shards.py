"""WebDataset shards: tar files whose neighbouring members of one name make a sample.

``a/b.jpg`` and ``a/b.edge.png`` are the sample ``a/b`` with the files ``jpg`` and ``edge.png``: the
key is what stands before the first dot of the last part of the path. Written shards are the same
bytes for the same samples, whoever writes them and when.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from trace_mm.files.stores import open_stream, stored_whole

_MEMBER = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)", re.DOTALL)


@dataclass(frozen=True)
class Sample:
    """Files of one key.

    Attributes:
        key: path within the shard, without extension.
        files: bytes by extension, in lower case: ``{"jpg": ..., "edge.png": ...}``.
    """

    key: str
    files: Mapping[str, bytes]


def read_shard(address: str | Path) -> Iterator[Sample]:
    """The samples of a shard (``.tar`` or ``.tar.gz``) in its order, one in memory at a time.

    Folders, hidden files and WebDataset's own entries (``__name__``) are passed over.

    Args:
        address: local path, or address of a store.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no whole tar; or a member is no file, has no extension or a name that
            leads out of the shard, is there twice or apart from the others of its sample. Names the
            shard and the member. Samples before it have been given by then.
        OSError: if it cannot be read; names the address.
    """
    seen: set[str] = set()
    key: str | None = None
    files: dict[str, bytes] = {}
    for name, data in _members(address):
        match = _MEMBER.fullmatch(name)
        if match is None:
            raise ValueError(f"{address}: member {name!r} has no extension, which tells what it is")
        if match[1] != key:
            if key is not None:
                yield Sample(key, files)
            key, files = match[1], {}
            if key in seen:
                raise ValueError(f"{address}: the members of sample {key!r} do not stand together")
            seen.add(key)
        extension = match[2].lower()
        if extension in files:
            raise ValueError(f"{address}: sample {key!r} has two members {extension!r}")
        files[extension] = data
    if key is not None:
        yield Sample(key, files)


class ShardWriter:
    """A shard to be written; a context, at whose end it is there, whole, if nothing failed.

    Args:
        address: local path, or address of a store.

    Raises:
        OSError: at its end, if it cannot be written; names the address.

    Examples:
        >>> with ShardWriter("edges/000001.tar") as shard:  # or s3://bucket/edges/000001.tar
        ...     shard.add("a/b", {"edge.png": b"..."})
    """

    def __init__(self, address: str | Path) -> None:
        self.address = address
        self._keys: set[str] = set()
        self._contexts = ExitStack()

    def __enter__(self) -> "ShardWriter":
        stream = self._contexts.enter_context(stored_whole(self.address))
        self._tar = tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def add(self, key: str, files: Mapping[str, bytes]) -> None:
        """Append a sample.

        Args:
            key: its name, which may hold folders.
            files: bytes by extension, in the order in which they are to be stored.

        Raises:
            ValueError: if the key is there already, or :func:`read_shard` would not give back this
                key and these extensions; names the shard and the key.
        """
        if key in self._keys:
            raise ValueError(f"{self.address}: sample {key!r} is there already")
        for extension in files:
            name = f"{key}.{extension}"
            match = _MEMBER.fullmatch(name)
            if (
                match is None
                or match.groups() != (key, extension.lower())
                or _leads_out(name)
                or _is_passed_over(name)
            ):
                raise ValueError(f"{self.address}: a shard cannot hold {name!r} by this name")
        self._keys.add(key)
        for extension, data in files.items():
            # All else is 0 or empty, so that equal samples make equal shards.
            member = tarfile.TarInfo(f"{key}.{extension}")
            member.size = len(data)
            self._tar.addfile(member, io.BytesIO(data))
        _forget_headers(self._tar)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._tar.close()
        except BaseException as failure:
            self._contexts.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._contexts.__exit__(kind, error, trace)


class StrictHeader(tarfile.TarInfo):
    """Refuses what :mod:`tarfile` takes for the end: no header at all, and a damaged one."""

    @classmethod
    def fromtarfile(cls, archive: Any) -> Self:
        """The next header of an archive, with what belongs to it; see :class:`tarfile.TarInfo`."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise  # the mark of its end
        except tarfile.HeaderError as error:  # also of what belongs to a header
            raise tarfile.ReadError(str(error)) from None


def _members(address: str | Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in a tar that is not passed over."""
    with open_stream(address) as stream:
        try:
            content = _uncompressed(stream)
            with tarfile.open(fileobj=content, mode="r|", tarinfo=StrictHeader) as tar:
                while (member := tar.next()) is not None:
                    name = member_name(member, address)
                    if name is not None:
                        file = tar.extractfile(member)
                        assert file is not None  # of regular files
                        yield name, file.read()
                    _forget_headers(tar)
                _check_rest(tar.fileobj)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{address}: not a whole tar file: {error}") from error


def _forget_headers(tar: Any) -> None:
    tar.members.clear()  # where tarfile keeps all of them


def _uncompressed(stream: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        return cast(BinaryIO, gzip.GzipFile(fileobj=buffered))
    return cast(BinaryIO, buffered)


def member_name(member: tarfile.TarInfo, address: str | Path) -> str | None:
    """The name of a file of a sample; None of what is passed over.

    Raises:
        ValueError: if it is no file, or its name leads out of the shard; names both.
    """
    if member.isdir():  # its files stand for themselves
        return None
    name = re.sub(r"^(\./+)+", "", member.name)
    if not member.isreg():
        raise ValueError(f"{address}: member {name!r} is a link or a device, not a file")
    if _leads_out(name):
        raise ValueError(f"{address}: the name of member {name!r} leads out of the shard")
    return None if _is_passed_over(name) else name


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def _is_passed_over(name: str) -> bool:
    """Whether it is hidden, as what macOS adds, or an entry of WebDataset's own."""
    parts = name.split("/")
    return parts[-1].startswith(".") or re.fullmatch("__.*__", parts[0], re.DOTALL) is not None


def _check_rest(rest: Any) -> None:
    """Read what follows the end, so that a checksum at the end of the file is compared too."""
    while block := rest.read(1 << 16):
        if block.count(0) != len(block):
            raise tarfile.ReadError("more data follows its end; were several files joined?")
