"""The files of a published model, wherever they are."""

from pathlib import Path
from typing import Any

from trace_mm.files.json_file import read_json


class ModelFiles:
    """The files of a model, in a local folder or on the hub.

    Args:
        source: folder or hub id.
        revision: of a hub id.
        local_files_only: do not ask the hub for anything.
    """

    def __init__(
        self, source: str, revision: str | None = None, local_files_only: bool = False
    ) -> None:
        self.source = source
        self._folder = Path(source).expanduser()
        self._revision = revision
        self._local_files_only = local_files_only

    def find(self, name: str) -> Path:
        """A file, downloaded if need be.

        Raises:
            FileNotFoundError: if a local folder has no such file.
            huggingface_hub.errors.EntryNotFoundError: if the hub's model has none.
        """
        if not self._folder.is_dir():
            from huggingface_hub import hf_hub_download  # slow to import

            return Path(
                hf_hub_download(
                    self.source,
                    name,
                    revision=self._revision,
                    local_files_only=self._local_files_only,
                )
            )
        path = self._folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        return path

    def find_if_any(self, name: str) -> Path | None:
        """A file, or None if the model has none of that name."""
        from huggingface_hub.errors import EntryNotFoundError

        try:
            return self.find(name)
        except (EntryNotFoundError, FileNotFoundError):  # also if the hub was not asked
            return None

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object.

        Raises:
            ValueError: if the file holds anything else; names it.
        """
        path = self.find(name)
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}")
        return content
