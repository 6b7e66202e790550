"""Files wherever they are: of a folder, of a store, or in memory, such as members of a shard."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from trace_mm.files.store_paths import StorePath, as_path


@dataclass(frozen=True)
class Member:
    """A file in memory, for what reads files by their paths.

    Attributes:
        path: what messages call it.
        data: its content.
    """

    path: str
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """Of its name."""
        return PurePosixPath(self.path).suffix

    def read_bytes(self) -> bytes:
        """Its content."""
        return self.data


AnyFile = Path | StorePath | Member
"""A file, wherever it is."""


def as_file(path: str | os.PathLike[str] | AnyFile) -> AnyFile:
    """A file by its path or address, or as it is."""
    return path if isinstance(path, Member) else as_path(path)


def content_of(path: AnyFile, kind: str = "file") -> bytes:
    """The bytes of a file.

    Args:
        path: the file.
        kind: what a message calls a file that is not there.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read; names the file and the cause.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such {kind}") from None
    except OSError as error:
        if isinstance(path, StorePath):
            raise ValueError(str(error)) from error  # which names the address
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
