"""Where the members of a shard are in it, so that one can be read without the others.

Beside ``000000.tar`` may lie ``000000.tar.index``: JSON lines, the first with the format, the
shard's size and how many members it has, then ``[name, offset, size]`` of each. A local shard is
looked through where there is none; of one in a store every byte would have to be read for that.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from trace_mm.files.addresses import join_address, local_path, name_in
from trace_mm.files.retries import ShortAnswerError
from trace_mm.files.shards import StrictHeader, member_name
from trace_mm.files.stores import (
    open_stream,
    put_bytes,
    read_bytes,
    read_range,
    state_of,
)

FORMAT = 1
SUFFIX = ".index"
_LONGEST = 100  # bytes of a name that a header holds for itself


class Member(NamedTuple):
    """A file in a shard.

    Attributes:
        name: path within the shard.
        offset: of its content, in bytes from the shard's beginning.
        size: of its content in bytes.
    """

    name: str
    offset: int
    size: int


def index_address(shard: str | Path, folder: str | Path | None = None) -> str:
    """Where the index of a shard is: beside it, or in a folder, local or of a store."""
    if folder is not None:
        return join_address(folder, name_in(shard) + SUFFIX)
    return f"{shard}{SUFFIX}"


def scan_shard(shard: str | Path) -> Iterator[Member]:
    """The members of a shard in its order; what :func:`trace_mm.files.shards.read_shard` passes
    over is left out. Of a local shard only the headers are read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no whole, uncompressed tar, or a member is no file; names the shard.
        OSError: if it cannot be read; names the address.
    """
    mode = "r|" if local_path(shard) is None else "r:"
    with open_stream(shard) as stream:
        try:
            with tarfile.open(fileobj=stream, mode=mode, tarinfo=StrictHeader) as tar:  # type: ignore[call-overload]
                while (member := tar.next()) is not None:
                    name = member_name(member, shard)
                    if name is not None:
                        yield Member(name, member.offset_data, member.size)
                    tar.members.clear()  # where tarfile keeps all of them
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{shard}: not a whole, uncompressed tar file: {error}") from error


def write_index(shard: str | Path, folder: str | Path | None = None) -> int:
    """Write the index of a shard, whole.

    Args:
        shard: local path, or address of a store.
        folder: see :func:`index_address`.

    Returns:
        How many members it has.

    Raises:
        FileNotFoundError: if there is no such shard.
        ValueError: see :func:`scan_shard`.
        OSError: if it cannot be read or written; names the address.
    """
    members = [[member.name, member.offset, member.size] for member in scan_shard(shard)]
    header = _header(shard, len(members))
    lines = [json.dumps(line) + "\n" for line in (header, *members)]
    put_bytes(index_address(shard, folder), "".join(lines).encode())
    return len(members)


def has_index(shard: str | Path, folder: str | Path | None = None) -> bool:
    """Whether there is an index of a shard, and it fits the shard as it is now.

    Raises:
        FileNotFoundError: if there is no such shard.
        OSError: if it cannot be read; names the address.
    """
    try:
        members = _indexed(shard, folder)
        if members:
            read_member(shard, members[-1])
    except ValueError:
        return False
    return members is not None


def shard_members(shard: str | Path, folder: str | Path | None = None) -> list[Member]:
    """The members of a shard by its index; see :func:`index_address`.

    Raises:
        FileNotFoundError: if there is no such shard, or no index of one in a store.
        ValueError: if an index is damaged or of another file; see also :func:`scan_shard`.
        OSError: if it cannot be read; names the address.
    """
    members = _indexed(shard, folder)
    if members is None and local_path(shard) is None:
        raise FileNotFoundError(
            f"{index_address(shard, folder)}: no such file; without it all of the shard would be "
            f"read. tools/index_shards.py makes it"
        )
    return list(scan_shard(shard)) if members is None else members


def _indexed(shard: str | Path, folder: str | Path | None) -> list[Member] | None:
    """What an index says; None if there is none."""
    address = index_address(shard, folder)
    try:
        lines = read_bytes(address).splitlines()
    except FileNotFoundError:
        lines = None
    header = _header(shard, 0 if lines is None else len(lines) - 1)  # raises if there is no shard
    if lines is None:
        return None
    try:
        told, *entries = json.loads(b"[%s]" % b",".join(lines))  # quicker than line by line
        if told != header:
            raise ValueError("it is of another file or version")
        return [Member(str(name), int(offset), int(size)) for name, offset, size in entries]
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"{address}: no index of {shard} as it is now ({error}); delete it, or make it anew by "
            f"tools/index_shards.py"
        ) from error


def _header(shard: str | Path, count: int) -> dict[str, int | None]:
    state = state_of(shard)
    if state is None:
        raise FileNotFoundError(f"{shard}: no such file")
    return {"format": FORMAT, "size": state.size, "members": count}


def read_member(shard: str | Path, member: Member) -> bytes:
    """The content of a member, by one request.

    Raises:
        FileNotFoundError: if there is no such shard.
        ValueError: if it does not hold that member there; names both.
        OSError: if it cannot be read; names the address.
    """
    start, end = member.offset - tarfile.BLOCKSIZE, member.offset + member.size
    try:
        data = read_range(shard, start, end)
    except ShortAnswerError as error:
        raise _damaged(shard, member) from error
    try:
        header = tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise _damaged(shard, member) from error
    # Longer names, and others, stand in a header before; this one has a part of them.
    told = member.name.isascii() and len(member.name) <= _LONGEST - len("./")
    if header.size != member.size or (told and member_name(header, shard) != member.name):
        raise _damaged(shard, member)
    return data[tarfile.BLOCKSIZE :]


def _damaged(shard: str | Path, member: Member) -> ValueError:
    return ValueError(
        f"{shard}: damaged, or another file than was indexed: {member.name!r} is not where it was"
    )
