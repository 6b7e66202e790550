"""Where the files of a run go."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trace_mm.files import write_atomically
from trace_mm.files.addresses import join_address
from trace_mm.files.atomic import temporary_path
from trace_mm.files.stores import put_bytes


@dataclass(frozen=True)
class FolderSink:
    """A folder of this machine, or one that machines share.

    Attributes:
        folder: made if needed.
    """

    folder: Path

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole; see ``Sink``."""
        write_atomically(self.folder / path, data)

    @contextmanager
    def marked(self) -> Iterator[str]:
        """Within this context the folder holds a mark, by which others know that they see it.

        Yields:
            The mark, for :meth:`has`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = temporary_path(self.folder / "shared")  # cleared away if this process is killed
        mark.touch()
        try:
            yield mark.name
        finally:
            mark.unlink(missing_ok=True)

    def has(self, mark: str) -> bool:
        """Whether the folder is the one that somebody has marked."""
        return (self.folder / mark).is_file()


class MemorySink:
    """Memory, from which files are taken again."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def put(self, path: str, data: bytes) -> None:
        """Keep a file; see ``Sink``."""
        self._files[path] = data

    def take(self, path: str) -> bytes:
        """A file, which is no longer kept."""
        return self._files.pop(path)


@dataclass(frozen=True)
class StoreSink:
    """A folder of a store.

    Attributes:
        folder: its address.
    """

    folder: str

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole; see ``Sink``."""
        put_bytes(join_address(self.folder, path), data)
