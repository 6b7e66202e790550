"""Files that are in memory already, such as members of a shard, read like those of a folder."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


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


AnyFile = Path | Member
"""A file, wherever it is."""


def as_file(path: str | AnyFile) -> AnyFile:
    """A file by its path, or as it is."""
    return Path(path) if isinstance(path, str) else path
