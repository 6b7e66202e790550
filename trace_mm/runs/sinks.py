"""Where the files of a run go."""

from dataclasses import dataclass
from pathlib import Path

from trace_mm.files import write_atomically


@dataclass(frozen=True)
class FolderSink:
    """A folder of this machine.

    Attributes:
        folder: made if needed.
    """

    folder: Path

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole; see ``Sink``."""
        write_atomically(self.folder / path, data)
