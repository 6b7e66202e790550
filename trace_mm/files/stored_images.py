"""Which files of a store are meant by names that a list or an annotation file writes."""

from functools import cached_property

from trace_mm.files.file_names import FileIndex, Listings
from trace_mm.files.folders import OtherFiles, images_in
from trace_mm.files.json_values import ImageId
from trace_mm.files.store_paths import StorePath
from trace_mm.files.store_walk import entries_in
from trace_mm.files.stores import FileState


class StoredImages:
    """The image files of a store that an annotation file lists by name.

    They are found as :class:`trace_mm.files.file_names.ListedImages` finds local ones. A folder is
    listed once, when a name leads there; all are, if one leads nowhere.

    Args:
        folder: of the images.
    """

    def __init__(self, folder: StorePath) -> None:
        self.folder = folder
        self._states: dict[str, FileState] = {}
        self._listings = Listings(self._names_in)

    def find(self, name: str, image_id: ImageId | None = None) -> StorePath | None:
        """The file that a name means, or None if there is none.

        Raises:
            ValueError: if it may mean several; names them.
            OSError: if a folder cannot be listed; names it.
        """
        address = self._listings.find_text(self.folder.address.removesuffix("/"), name)
        if address is None:
            address = self._index.find_one(name, image_id)
        return None if address is None else StorePath(address, self._states.get(address))

    def _names_in(self, folder: str) -> list[str]:
        entries = entries_in(f"{folder}/")
        self._states |= {f"{folder}/{name}": state for name, state in entries.items()}
        return list(entries)

    @cached_property
    def _index(self) -> FileIndex:
        return FileIndex([file.as_posix() for file in images_in(self.folder, OtherFiles())])
