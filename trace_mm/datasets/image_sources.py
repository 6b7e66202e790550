"""Where images without annotations come from: folders, COCO, VOC, procedural scenes.

How an image is shown to a model is the business of
:class:`trace_mm.datasets.UnlabelledImageDataset`. Paths are kept in one array, so that the workers
of a data loader share the list of a million images instead of copying it.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from trace_mm.datasets.image_references import (
    EncodedImage,
    ImageCollection,
    SourceImage,
)
from trace_mm.datasets.scenes import render_scene
from trace_mm.files import IMAGE_SUFFIXES, OtherFiles, absolute_path, read_file, walk_images
from trace_mm.files.coco_file import CocoFile, by_rising_id
from trace_mm.files.file_names import ListedImages
from trace_mm.files.file_state import file_state
from trace_mm.registry import DATASETS


class ImageFiles(ImageCollection):
    """Image files of a list.

    Args:
        folder: that the names are relative to.
        names: relative paths with forward slashes.
        origin: what the list came from, for messages.

    Raises:
        FileNotFoundError: if the list is empty or names files that do not exist.
    """

    def __init__(self, folder: str | os.PathLike[str], names: Sequence[str], origin: str) -> None:
        self.folder = Path(folder)
        if not names:
            raise FileNotFoundError(f"{origin}: lists no images")
        self._names = np.array([os.fsencode(name) for name in names])

    def __len__(self) -> int:
        return len(self._names)

    def path(self, index: int) -> Path:
        """File of image ``index``."""
        return self.folder / self.name(index)

    def name(self, index: int) -> str:
        """Path of image ``index`` within the folder."""
        return os.fsdecode(self._names[index])

    def at(self, index: int) -> "ImageFile":
        """Image ``index``, upright; see :func:`trace_mm.files.load_image` and `ImageCollection`."""
        return ImageFile(self.path(index), self.name(index))


@dataclass(frozen=True)
class ImageFile:
    """An image file; see ``ImageReference``.

    Attributes:
        path: of the file.
        image_id: unique within the source.
    """

    path: Path
    image_id: str

    @property
    def address(self) -> str:
        """The file's absolute path."""
        return str(absolute_path(self.path))

    def state(self) -> list[Any]:
        """Size and time of the last change."""
        return list(file_state(self.path).values())

    def open(self) -> EncodedImage:
        """Read the file; see ``ImageReference``."""
        return EncodedImage(read_file(self.path), self.image_id, str(self.path))


@DATASETS.register_module()
class ImageFolder(ImageFiles):
    """All images in a folder and its subfolders, such as an ImageNet tree of class folders.

    Files are found by suffix and may be of any type that Pillow reads; hidden ones are left out.

    Args:
        data_root: the folder.
        img_path: a folder in it to search instead.
        pattern: of the paths from that folder, such as ``"*/images/*"`` where masks lie beside
            images; a ``*`` matches any text, slashes too.
        length: how many of them, the first by their paths; all if None.

    Raises:
        FileNotFoundError: if there is no such folder, or no such image in it.
    """

    def __init__(
        self, data_root: str, img_path: str = "", pattern: str = "*", length: int | None = None
    ) -> None:
        folder = Path(data_root).expanduser() / img_path
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of images")
        others = OtherFiles()
        found = walk_images(folder, others=others)
        names = [path.relative_to(folder).as_posix() for path in found]
        for line in others.describe(folder):
            print_log(line, "current", logging.INFO)
        kept = [name for name in names if fnmatchcase(name, pattern)]
        origin = str(folder) if pattern == "*" else f"{folder} ({pattern})"
        super().__init__(folder, kept[:length], origin)


@DATASETS.register_module()
class CocoImages(ImageFiles):
    """The images that a COCO annotation file lists, by rising image id.

    Args:
        data_root: root of the other paths.
        ann_file: JSON file with ``images``, of which only ids and names are read.
        img_path: folder of the images.

    Raises:
        FileNotFoundError: if the JSON or a listed image does not exist.
        ValueError: if the JSON is not as it should be.
    """

    def __init__(self, data_root: str, ann_file: str, img_path: str = "") -> None:
        root = Path(data_root).expanduser()
        file = root / ann_file
        listed = by_rising_id(CocoFile.read(file).require("images").images())
        folder = root / img_path
        names = ((image.name, key) for key, image in listed.items())
        paths = ListedImages(folder).find_all(names, file)
        relative = [Path(os.path.relpath(path, folder)).as_posix() for path in paths]
        super().__init__(folder, relative, str(file))


@DATASETS.register_module()
class VocImages(ImageFiles):
    """The images that a list of PASCAL VOC's ``ImageSets`` names.

    A line is an image's name with or without ``suffix``, or, as in lists of augmented sets, its
    path from ``data_root``; what follows after a space is not read.

    Args:
        data_root: such as ``VOCdevkit/VOC2012``.
        ann_file: the list, such as ``ImageSets/Segmentation/train.txt``.
        img_path: folder of the images.
        suffix: of the images.

    Raises:
        FileNotFoundError: if the list or a listed image does not exist.
    """

    def __init__(
        self,
        data_root: str,
        ann_file: str = "ImageSets/Segmentation/train.txt",
        img_path: str = "JPEGImages",
        suffix: str = ".jpg",
    ) -> None:
        root = Path(data_root).expanduser()
        file = root / ann_file
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such list of images")
        words = [
            line.split()[0] for line in file.read_text("utf-8-sig").splitlines() if line.strip()
        ]
        names = [_voc_name(word, img_path, suffix) for word in words]
        super().__init__(root, names, str(file))
        _check_existence(root, names, file)


@DATASETS.register_module()
class SceneImages(ImageCollection):
    """Procedural scenes, rendered when they are read.

    Args:
        seed: of the series.
        start: index of the first scene.
        length: how many scenes.
        size: (H, W) of each.

    Raises:
        ValueError: if ``length`` is not positive.
    """

    def __init__(
        self, seed: int, start: int = 0, length: int = 10000, size: Sequence[int] = (128, 128)
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        self.seed, self.start, self.length = seed, start, length
        self.size = int(size[0]), int(size[1])

    def __len__(self) -> int:
        return self.length

    def name(self, index: int) -> str:
        """The series and the number of scene ``index`` in it."""
        return f"scene-{self.seed}-{self.start + index:06d}"

    def at(self, index: int) -> "Scene":
        """Scene ``index``; see :class:`ImageCollection`."""
        if not 0 <= index < self.length:
            raise IndexError(f"there are {self.length} scenes, none has index {index}")
        return Scene(self.seed, self.start + index, self.size, self.name(index))


@dataclass(frozen=True)
class Scene:
    """A procedural scene; see ``ImageReference``.

    Attributes:
        seed: of the series.
        number: in the series.
        size: (H, W).
        image_id: unique within the source.
    """

    seed: int
    number: int
    size: tuple[int, int]
    image_id: str

    @property
    def address(self) -> str:
        """The series, the number in it and the size."""
        return f"{self.image_id} {self.size[0]}x{self.size[1]}"

    def state(self) -> list[Any]:
        """Nothing changes."""
        return []

    def open(self) -> "RenderedScene":
        """Render it."""
        return RenderedScene(render_scene(self.seed, self.number, self.size).image, self.image_id)


@dataclass(frozen=True)
class RenderedScene:
    """A scene's pixels, 8-bit RGB (H, W, 3); see ``OpenedImage``."""

    pixels: NDArray[np.uint8]
    image_id: str

    @property
    def digest(self) -> str:
        """SHA-256 of the pixels."""
        data = f"{self.pixels.shape}".encode() + self.pixels.tobytes()
        return hashlib.sha256(data).hexdigest()

    def decode(self) -> SourceImage:
        """The scene."""
        return SourceImage(
            pixels=self.pixels.astype(np.float32) / np.float32(255),
            digest=self.digest,
            image_id=self.image_id,
            path=None,
        )


def _voc_name(word: str, img_path: str, suffix: str) -> str:
    """Path from the data root of an image in a VOC list."""
    if "/" in word:
        return word.lstrip("/")
    # A dot alone does not make a suffix: file names may hold one.
    has_suffix = Path(word).suffix.lower() in IMAGE_SUFFIXES
    return f"{img_path}/{word}{'' if has_suffix else suffix}"


def _check_existence(folder: Path, names: Iterable[str], origin: Path) -> None:
    missing = [folder / name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: no such image ({len(missing)} that {origin} lists do not exist)"
        )
