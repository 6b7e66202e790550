"""What all exporters of masks have in common."""

import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, ClassVar, Self

from trace_mm import __version__
from trace_mm.exporters.class_names import ClassNames
from trace_mm.files.images import read_file
from trace_mm.files.store_paths import FilePath
from trace_mm.files.whole_folders import WholeFolder
from trace_mm.refinement.instances import InstanceMasks

MARKER_FILE = ".trace_mm_export.json"
"""In every folder that an exporter has written, so that a later one may replace it."""

PHOTOS = ("copy", "link", "none")
"""What becomes of photos in formats that want them beside the masks."""


@dataclass(frozen=True)
class ExportedImage:
    """An image whose masks are exported.

    Attributes:
        name: path within the folder of images, with forward slashes.
        size: (H, W).
        number: its id, from 1 up unless others are given.
        photo: the image file; None if it is not known.
    """

    name: str
    size: tuple[int, int]
    number: int
    photo: FilePath | None = None


class MaskExporter(ABC):
    """Writes masks of images, one image after another, as a folder in some format.

    The folder appears when it is closed, whole; until then, and if anything fails, what was there
    stays. Memory does not grow with the number of images.

    Masks that are empty are left out. A format defines ``_add``, and ``_open`` and ``_close`` if
    there is something to do before the first image or after the last. They write in
    ``self.folder``.

    Args:
        out: folder to write. It must be empty, or not be there, or be of an earlier export.
        categories: names of classes by the ids that masks have as labels, as far as they are known.
        photos: "copy", "link" or "none": what becomes of photos in formats that want them beside
            the masks. Others leave them where they are.
        overwrite: replace an earlier export.

    Attributes:
        wants_photos: whether the format wants photos beside the masks.
        folder: where to write until all is complete.
        classes: names and running numbers of classes.

    Raises:
        ValueError: if an option is wrong, or something else is in the folder.
        OSError: if it cannot be written.

    Examples:
        >>> import numpy as np
        >>> from trace_mm.exporters import open_exporter
        >>> from trace_mm.refinement import InstanceMasks
        >>> found = InstanceMasks(np.ones((1, 96, 128), dtype=bool), np.array([1]))
        >>> with open_exporter("yolo", "labels", {1: "cat"}) as exporter:
        ...     exporter.add("photo.jpg", found, photo=Path("photo.jpg"))
        >>> Path("labels/data.yaml").is_file()
        True
    """

    wants_photos: ClassVar[bool] = False

    def __init__(
        self,
        out: str | os.PathLike[str],
        categories: Mapping[int, str] | None = None,
        *,
        photos: str = "copy",
        overwrite: bool = False,
    ) -> None:
        if photos not in PHOTOS:
            raise ValueError(f"photos must be one of {', '.join(PHOTOS)}, got {photos!r}")
        self.classes = ClassNames(categories or {})
        self._photos, self._count = photos, 0
        self._notes: dict[str, tuple[int, str]] = {}  # how often, and the first image
        self._files = ExitStack()
        self._place = WholeFolder(Path(out), MARKER_FILE, overwrite)
        self.folder = self._place.partial
        self._running = True
        with self._discarding():
            self._open()

    def add(
        self,
        name: str,
        masks: InstanceMasks,
        photo: FilePath | None = None,
        image_id: int | None = None,
    ) -> None:
        """Export the masks of an image; there may be none.

        Args:
            name: path of the image within its folder, with forward slashes; each is added once.
            masks: (K, H, W), at the image's own size.
            photo: the image file, for formats that want it beside the masks.
            image_id: for formats that have ids; a running number if None.

        Raises:
            ValueError: if the name leads elsewhere or cannot be written, or the exporter is closed.
            OSError: if something cannot be written or the photo cannot be read.
        """
        if not self._running:
            raise ValueError(f"{self._place.out}: this exporter is closed")
        path = PurePosixPath(name)
        if not path.name or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ValueError(f"{name!r}: must be a path within the folder of images")
        self._count += 1
        number = self._count if image_id is None else image_id
        image = ExportedImage(path.as_posix(), masks.size, number, photo)
        filled = [index for index, mask in enumerate(masks.masks) if mask.any()]
        if len(filled) < len(masks):
            self._note("empty masks, which are left out", image)
            masks = masks.select(filled)
        self._add(image, masks)

    def close(self) -> None:
        """Write what comes last, and put the folder in its place.

        Raises:
            OSError: if that fails; what was there stays.
        """
        if not self._running:
            return
        with self._discarding():
            self._close()
            self._files.close()
            marker = {"exporter": type(self).__name__, "trace_mm": __version__}
            self._place.put_in_place(json.dumps(marker).encode())
            self._running = False

    def discard(self) -> None:
        """Remove what was written so far; what was there before stays."""
        self._running = False
        self._files.close()
        self._place.discard()

    @property
    def notes(self) -> list[str]:
        """What the format could not hold: a line each, with an example."""
        return [
            f"{what}: {count} images, {example}, ..."
            if count > 1
            else f"{what}: 1 image, {example}"
            for what, (count, example) in self._notes.items()
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _open(self) -> None:  # noqa: B027 (most formats have nothing to do here)
        """Write what comes first."""

    @abstractmethod
    def _add(self, image: ExportedImage, masks: InstanceMasks) -> None:
        """Write the masks of an image."""

    def _close(self) -> None:  # noqa: B027
        """Write what comes last."""

    def _stream(self, name: str) -> IO[bytes]:
        """A file in the folder that stays open for writing and reading, and is closed at last."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return self._files.enter_context(path.open("w+b"))

    def _write(self, name: str, data: bytes) -> None:
        """Write a file in the folder, perhaps in a folder of it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _stem(self, image: ExportedImage, pattern: str) -> str:
        """A name for files that are made of an image: its own without suffix, if that is free.

        Images that differ in the suffix only keep it. Disks that ignore case are heeded.

        Args:
            image: it has a file of the pattern already if its name is taken.
            pattern: of such a file in the folder, such as ``"labels/{}.txt"``.
        """
        stem = PurePosixPath(image.name).with_suffix("").as_posix()
        found, count = stem, 1
        while os.path.lexists(self.folder / pattern.replace("{}", found)):
            found = image.name if count == 1 else f"{image.name}-{count}"
            count += 1
        if found != stem:
            self._note("named with their suffix, because another has the same name", image)
        return found

    def _put_photo(self, image: ExportedImage, stem: str) -> str:
        """Put the photo into the folder, if it is to be there.

        Args:
            image: whose photo it is.
            stem: its path in the folder, to which the image's suffix comes.

        Returns:
            Its path in the folder, whether it is there or not.
        """
        name = stem + PurePosixPath(image.name).suffix
        if image.photo is None or self._photos == "none":
            return name
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._photos == "copy":
            if isinstance(image.photo, Path):
                shutil.copyfile(image.photo, target)
            else:
                target.write_bytes(read_file(image.photo))
        elif isinstance(image.photo, Path):
            target.symlink_to(image.photo.resolve())
        else:
            raise ValueError(f"{image.photo}: a photo of a store cannot be linked: copy photos")
        return name

    def _note(self, what: str, image: ExportedImage) -> None:
        """Remember what the format could not hold of an image."""
        count, example = self._notes.get(what, (0, image.name))
        self._notes[what] = count + 1, example

    def _discarding(self) -> ExitStack:
        """A context that discards all if something fails in it."""
        stack = ExitStack()

        def check(kind: object, error: object, trace: object) -> None:
            if kind is not None:
                self.discard()

        stack.push(check)
        return stack
