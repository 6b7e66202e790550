"""Files by their places, whether these are local or of a store.

A place of this machine is a :class:`pathlib.Path`, one of a store a :class:`StorePath`, which has
what readers of files need of a path.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath

from trace_mm.files.addresses import is_address, local_path, name_in, scheme_of
from trace_mm.files.stores import FileState, read_bytes, state_of

LONGEST_NAME = 255
"""Bytes that names of files, and so of results, have at most."""

_AT_ONCE = 8  # requests
_ASKED = 1000  # files that are on their way at a time


@dataclass(frozen=True)
class StorePath:
    """A file or a folder of a store.

    Attributes:
        address: such as ``s3://bucket/photos/1.jpg``.
        state: of the file, as a listing told it; None if that is not known.

    Raises:
        ValueError: if no path of a result could be made of it; names it.
    """

    address: str
    state: FileState | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_names(self.address, self.address.partition("://")[2].strip("/"))

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of its address."""
        return name_in(self.address)

    @property
    def suffix(self) -> str:
        """Of its name."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "StorePath":
        """The folder that it lies in."""
        return StorePath(self.address[: self.address.rstrip("/").rfind("/") + 1])

    @property
    def pure(self) -> PurePosixPath:
        """Its address as a path that no local file is meant by: ``/s3/bucket/photos/1.jpg``."""
        rest = self.address.partition("://")[2]
        return PurePosixPath("/", scheme_of(self.address), rest.lstrip("/"))

    def as_posix(self) -> str:
        """Its address."""
        return self.address

    def read_bytes(self) -> bytes:
        """Its content; see :func:`trace_mm.files.stores.read_bytes`."""
        return read_bytes(self.address)


FilePath = Path | StorePath
"""Where a file or a folder is."""


def check_names(address: str, names: str) -> None:
    """Refuse what is no path within a folder: results are called after it.

    Args:
        address: for messages.
        names: parted by ``/``.

    Raises:
        ValueError: if a name is empty, leads elsewhere, or is longer than files' can be.
    """
    for name in names.split("/") if names else ():
        if name in ("", ".", "..") or "\0" in name:
            raise ValueError(f"{address}: {name!r} in it names no file, so results have no name")
        # A letter has four bytes at most, so most names need not be encoded.
        if len(name) > LONGEST_NAME // 4 and len(os.fsencode(name)) > LONGEST_NAME:
            raise ValueError(f"{address}: names of files have at most {LONGEST_NAME} bytes")


def as_path(place: str | os.PathLike[str] | StorePath) -> FilePath:
    """A place by its path or address.

    Raises:
        ValueError: if it is an address that is no place.
    """
    if isinstance(place, StorePath):
        return place
    text = os.fspath(place)
    local = local_path(text)
    return StorePath(text) if local is None else local


def joined(folder: FilePath, name: str) -> str:
    """What messages call a file, by its name in a folder or its address."""
    if is_address(name):
        return name
    if isinstance(folder, Path):
        return str(folder / name)
    return f"{folder.address.rstrip('/')}/{name}"


def pure_path(path: FilePath) -> PurePath:
    """To compare places by, local ones and others; see :attr:`StorePath.pure`."""
    return path if isinstance(path, Path) else path.pure


def name_within(path: FilePath, folder: FilePath) -> str:
    """The path of a file within a folder, with forward slashes."""
    return pure_path(path).relative_to(pure_path(folder)).as_posix()


def packed_path(path: FilePath) -> str:
    """A place, and the state of a store's file, as one string for many in little memory."""
    return f"{path}{_packed_state(path)}"


def unpacked_path(text: str) -> FilePath:
    """What :func:`packed_path` was given."""
    address, *state = text.split("\0", 2)
    if not state:
        return as_path(address)
    return StorePath(address, FileState(int(state[0]) if state[0] else None, state[1]))


def packed_within(path: FilePath, folder: FilePath) -> str:
    """The path of a file within a folder, and its state, as :func:`packed_path` packs them.

    It begins with the path, and many of them are in the order of these.
    """
    return f"{name_within(path, folder)}{_packed_state(path)}"


def unpacked_within(text: str, folder: FilePath) -> FilePath:
    """What :func:`packed_within` was given."""
    return folder / text if isinstance(folder, Path) else unpacked_path(joined(folder, text))


def _packed_state(path: FilePath) -> str:
    if isinstance(path, Path):
        return ""
    state = path.state or FileState(None, "")
    return f"\0{'' if state.size is None else state.size}\0{state.version}"


def is_local(text: str) -> bool:
    """Whether what :func:`packed_path` gives is of this machine, and so the path itself."""
    return "\0" not in text


def with_states(paths: Iterable[FilePath], origin: object) -> Iterator[FilePath]:
    """Files with their states, which stores are asked for where they are not known.

    Args:
        paths: files, of which local ones are passed on as they are.
        origin: what names them, for messages.

    Raises:
        FileNotFoundError: if some do not exist, once all others have come; names the first and
            their number.
        OSError: if a store does not answer; names the address.
    """
    rest, count, missing = iter(paths), 0, list[FilePath]()
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # of which none starts that is not needed
        while some := list(islice(rest, _ASKED)):
            answers = threads.map(_asked, [path for path in some if _is_to_be_asked(path)])
            for path in some:
                known = next(answers) if _is_to_be_asked(path) else path
                if known is not None:
                    yield known
                else:
                    missing.append(path)
            count += len(some)
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: no such image ({len(missing)} of {count} that {origin} lists do not "
            f"exist)"
        )


def _is_to_be_asked(path: FilePath) -> bool:
    return isinstance(path, StorePath) and path.state is None


def _asked(path: FilePath) -> FilePath | None:
    state = state_of(str(path))
    return None if state is None else StorePath(str(path), state)
