"""Files of object stores and other file systems, read and written as if they were local.

Every function takes a local path or an address that fsspec knows, such as ``s3://bucket/name``.

What is read is compared with the size that the store tells, because some failures look like the
end of a file; what is written appears whole. Credentials and endpoints come from where each file
system looks for them, and from fsspec's configuration (``FSSPEC_S3_ENDPOINT_URL`` and the like).
"""

import io
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from trace_mm.files.addresses import local_path, scheme_of
from trace_mm.files.atomic import TEMPORARY_SUFFIX, written_whole
from trace_mm.files.file_systems import file_system, renames
from trace_mm.files.retries import ShortAnswerError, persistently

BLOCK = 8 << 20
"""Bytes that one request reads of a large object."""

# Servers may leave out that they ignore ranges, and send the whole file for each.
_WITHOUT_RANGES = {"http", "https"}
# How file systems call a checksum or the time of the last change.
_VERSIONS = ["ETag", "etag", "md5Hash", "content_md5"]
_VERSIONS += ["LastModified", "Last-Modified", "mtime", "modified", "created"]


@dataclass(frozen=True)
class FileState:
    """What changes when a file does.

    Attributes:
        size: bytes; None if the store does not tell.
        version: a checksum or the time of the last change, as the store tells it; may be empty.
    """

    size: int | None
    version: str


def state_of(address: str | Path) -> FileState | None:
    """The state of a file now; None if there is none.

    Raises:
        OSError: if it cannot be told; names the address.
    """
    local = local_path(address)
    if local is not None:
        try:
            status = local.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileState(status.st_size, str(status.st_mtime_ns)) if local.is_file() else None
    try:
        info = persistently(str(address), "read", _info)
    except FileNotFoundError:
        return None
    return state_in(info) if info["type"] == "file" else None


def open_stream(address: str | Path) -> BinaryIO:
    """Open a file to be read from its beginning on; a context that closes it.

    Of a store, ``BLOCK`` bytes are held at a time, each read again if it came short; http servers'
    files are copied to a temporary one first.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError: if it cannot be read, also later while it is; names the address.
    """
    local = local_path(address)
    if local is not None:
        try:
            return local.open("rb")
        except FileNotFoundError:
            raise FileNotFoundError(f"{address}: no such file") from None
    info = persistently(str(address), "read", _info)
    if info["type"] != "file":
        raise IsADirectoryError(f"{address}: a folder, not a file")
    state = state_in(info)
    if state.size is None or scheme_of(str(address)) in _WITHOUT_RANGES:
        return persistently(str(address), "read", partial(_copied, size=state.size))
    return io.BufferedReader(_Blocks(str(address), state), 1 << 20)


def read_bytes(address: str | Path) -> bytes:
    """All of a file; see :func:`open_stream`."""
    with open_stream(address) as stream:
        return stream.read()


def read_range(address: str | Path, start: int, end: int) -> bytes:
    """Bytes ``start`` to ``end`` of a file, by one request.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError: if it cannot be read, or ends before; names the address.
    """
    local = local_path(address)
    if local is None:
        request = partial(_range, start=start, end=end, last=False)
        return persistently(str(address), "read", request)
    with open_stream(address) as stream:
        stream.seek(start)
        data = stream.read(end - start)
    if len(data) < end - start:
        raise ShortAnswerError(f"{address}: ends before byte {end}")
    return data


@contextmanager
def stored_whole(address: str | Path) -> Iterator[BinaryIO]:
    """A stream to write, which becomes the file at its end, whole; before, nothing is seen of it.

    Of a store, it is a local temporary file until then.

    Raises:
        OSError: if it cannot be written; names the address.
    """
    local = local_path(address)
    if local is not None:
        with written_whole(local) as stream:
            yield stream
        return
    file_system(str(address))  # a package that is missing is told of before the work
    with tempfile.TemporaryDirectory(prefix="trace-mm-") as folder:
        source = Path(folder, "content")
        with source.open("wb") as stream:
            yield stream
        put_file(source, str(address))


def put_bytes(address: str | Path, data: bytes) -> None:
    """Write a file, whole or not at all; see :func:`stored_whole`."""
    with stored_whole(address) as stream:
        stream.write(data)


def put_file(source: Path, address: str | Path) -> None:
    """Copy a local file to a path or a store, whole or not at all.

    Raises:
        OSError: if it cannot be written; names the address.
    """
    local = local_path(address)
    if local is None:
        persistently(str(address), "written", partial(_put, source=source))
        return
    with source.open("rb") as stream, written_whole(local) as target:
        shutil.copyfileobj(stream, target, 1 << 20)


def remove_file(address: str | Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OSError: if it cannot be removed; names the address.
    """
    local = local_path(address)
    if local is not None:
        local.unlink(missing_ok=True)
        return
    try:
        persistently(str(address), "removed", _remove_there)
    except FileNotFoundError:
        return


def list_files(folder: str | Path, subfolders: bool = False) -> dict[str, int]:
    """Size of each file in a folder by its name, sorted; of none if there is no such folder.

    What is still being written is left out. All names are held, and of a store, a page of at most
    a thousand comes at a time: where there may be millions, ask for files by :func:`state_of`.

    Args:
        folder: path or address.
        subfolders: also list what lies in these, by names such as ``a/b.tar``.

    Raises:
        OSError: if it cannot be listed; names the folder.
    """
    local = local_path(folder)
    if local is not None:
        sizes = _list_local(local, subfolders)
    else:
        sizes = persistently(str(folder), "listed", partial(_list, subfolders=subfolders))
    return dict(sorted(sizes.items()))


class _Blocks(io.RawIOBase):
    """An object of a store, read block by block."""

    def __init__(self, address: str, state: FileState) -> None:
        assert state.size is not None
        self._address = address
        self._state = state
        self._size = state.size
        self._start = 0  # of what has not been asked for
        self._ended = False
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._block:
            self._fetch()
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def readall(self) -> bytes:
        parts = [bytes(self._block)]
        while not self._ended:
            self._fetch()
            parts.append(bytes(self._block))
        self._block = memoryview(b"")
        return b"".join(parts)

    def _fetch(self) -> None:
        """Take the next block; an empty one at the end."""
        start, end = self._start, min(self._start + BLOCK, self._size)
        self._block = memoryview(b"")
        if self._ended:
            return
        last = end == self._size
        request = partial(_range, start=start, end=end, last=last)
        data = persistently(self._address, "read", request)
        # Blocks of two files that had the name one after the other are neither of them.
        if last and start > 0 and state_of(self._address) != self._state:
            raise OSError(f"{self._address}: changed while it was read")
        self._start, self._ended = end, last
        self._block = memoryview(data)


def _range(system: Any, path: str, start: int, end: int, last: bool) -> bytes:
    """Bytes ``start`` to ``end`` of a file, with which it ends if they are the ``last``."""
    # One more is asked for at the end: it comes if the file has grown. No bytes have no range.
    data = system.cat_file(path, start=start, end=end + last) if end else system.cat_file(path)
    if len(data) != end - start:
        raise ShortAnswerError(
            f"the store sent {len(data)} bytes where it has {end - start} (from {start} on)"
        )
    return bytes(data)


def _copied(system: Any, path: str, size: int | None) -> BinaryIO:
    """A temporary copy, which vanishes when it is closed."""
    stream: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        system.get_file(path, stream)
        got = stream.tell()
        if size is not None and got != size:
            raise ShortAnswerError(f"the server sent {got} bytes where it has {size}")
        stream.seek(0)
        return stream
    except BaseException:
        stream.close()
        raise


def _put(system: Any, path: str, source: Path) -> None:
    parent = path.rpartition("/")[0]
    if renames(system):
        # A file that grows there under its own name would be taken for whole.
        unfinished = _hidden(parent)
        system.makedirs(parent, exist_ok=True)
        try:
            system.put_file(str(source), unfinished)
            _check_size(system, unfinished, source)
            _rename(system, unfinished, path, _hidden(parent))
        except BaseException:
            _remove(system, unfinished)
            raise
    else:
        system.put_file(str(source), path)
    _check_size(system, path, source)


def _hidden(parent: str) -> str:
    return f"{parent}/.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"


def _rename(system: Any, unfinished: str, path: str, aside: str) -> None:
    """Give a file its name; what has it now is put aside until then, and back if that fails."""
    try:
        system.mv(unfinished, path)
        return
    except Exception:
        if not system.exists(path):
            raise
    system.mv(path, aside)  # some rename to no name that is taken
    try:
        system.mv(unfinished, path)
    except BaseException:
        system.mv(aside, path)
        raise
    _remove(system, aside)


def _remove_there(system: Any, path: str) -> None:
    forget_listings(system, path)
    system.rm_file(path)


def _remove(system: Any, path: str) -> None:
    try:
        system.rm_file(path)
    except Exception:  # the error that made it needless is the one to tell
        return


def _check_size(system: Any, path: str, source: Path) -> None:
    forget_listings(system, path)
    stored, size = system.info(path)["size"], source.stat().st_size
    if stored != size:
        raise ShortAnswerError(f"the store has {stored} of {size} bytes")


def _info(system: Any, path: str) -> dict[str, Any]:
    # Not exists(), which takes an error for no.
    forget_listings(system, path)
    info: dict[str, Any] = system.info(path)
    return info


def state_in(info: dict[str, Any]) -> FileState:
    """What a file system's description of a file says of its state."""
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    return FileState(info.get("size"), version)


def _list_local(folder: Path, subfolders: bool) -> dict[str, int]:
    sizes = {}
    for path in folder.rglob("*") if subfolders else folder.glob("*"):
        if path.name.endswith(TEMPORARY_SUFFIX):
            continue
        try:
            status = path.stat()
        except FileNotFoundError:  # it has vanished since
            continue
        if stat.S_ISREG(status.st_mode):
            sizes[path.relative_to(folder).as_posix()] = status.st_size
    return sizes


def _list(system: Any, path: str, subfolders: bool) -> dict[str, int]:
    sizes = {}
    for name, entry in list_entries(system, path):
        if name.endswith(TEMPORARY_SUFFIX):
            continue
        if entry["type"] == "file":
            sizes[name] = entry["size"]
        elif subfolders:
            inner = _list(system, entry["name"], subfolders)
            sizes.update({f"{name}/{below}": size for below, size in inner.items()})
    return sizes


def list_entries(system: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and description of what a folder of a file system holds; none if it is not there.

    Raises:
        FileNotFoundError: if what it would be in is missing, such as a bucket.
    """
    # By ls(): find() and walk() take a folder that cannot be listed for an empty one.
    forget_listings(system, path)
    try:
        entries = system.ls(path, detail=True)
    except FileNotFoundError as error:
        if error.__cause__ is None:
            return []
        raise
    top = path.rstrip("/") + "/"
    names = ((entry["name"].rstrip("/"), entry) for entry in entries)
    # The folder itself may be among them.
    return [(name.removeprefix(top), entry) for name, entry in names if name.startswith(top)]


def forget_listings(system: Any, path: str) -> None:
    """File systems answer from listings that may be old, made before others wrote there."""
    system.invalidate_cache(path)
