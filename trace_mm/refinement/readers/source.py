"""A file or folder of masks, looked at once and not once for every format that it might be."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from trace_mm.files import OtherFiles
from trace_mm.files.json_file import read_json

_GLANCES = 32  # files of a folder that are looked at to recognise its format


class MaskSource:
    """A file or folder of masks.

    Args:
        path: of the file or folder.

    Raises:
        FileNotFoundError: if there is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such file or folder of masks")

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return self.path.is_dir()

    @cached_property
    def content(self) -> Any:
        """What the file holds as JSON.

        Raises:
            ValueError: if it is not JSON; names the file.
        """
        return read_json(self.path)

    @cached_property
    def entries(self) -> list[os.DirEntry[str]]:
        """The files and folders directly in the folder, by name, without hidden ones."""
        with os.scandir(self.path) as entries:
            shown = [entry for entry in entries if not entry.name.startswith(".")]
        return sorted(shown, key=lambda entry: entry.name)

    def files(self, suffix: str) -> list[str]:
        """Names of the folder's files of a suffix, such as ``.png``; none if it is no folder."""
        if not self.is_folder:
            return []
        return [
            entry.name
            for entry in self.entries
            if entry.name.lower().endswith(suffix) and entry.is_file()
        ]

    def others(self, suffix: str) -> OtherFiles:
        """The folder's files that are not of a suffix; none if it is no folder."""
        others = OtherFiles()
        for entry in self.entries if self.is_folder else ():
            if not entry.name.lower().endswith(suffix) and entry.is_file():
                others.add(Path(entry.name))
        return others

    def folders(self) -> list[str]:
        """Names of the folder's folders; none if it is no folder."""
        return [entry.name for entry in self.entries if entry.is_dir()] if self.is_folder else []

    @cached_property
    def sample_content(self) -> Any:
        """What the file holds as JSON, or the first of the folder's files that has annotations.

        Returns:
            None if there is none.

        Raises:
            ValueError: if this is a JSON file by name only.
        """
        if not self.is_folder:
            return self.content if self.path.suffix.lower() == ".json" else None
        for name in self.files(".json")[:_GLANCES]:
            try:
                content = read_json(self.path / name)
            except ValueError:  # reading the folder says so
                continue
            if content and (isinstance(content, list) or _annotations_of(content)):
                return content
        return None


def _annotations_of(content: Any) -> Any:
    return content.get("annotations") if isinstance(content, dict) else None


def some_of(names: list[str]) -> list[str]:
    """A few names, spread over all."""
    return names[:: max(1, len(names) // _GLANCES)][:_GLANCES]
