"""What a user points at, as an ordered list of images with output names that never collide."""

import codecs
import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.apis.image_sources import ImageSource, ImageSources, stem_of
from trace_mm.files import (
    IMAGE_SUFFIXES,
    OtherFiles,
    is_image_file,
    walk_images,
)
from trace_mm.files.coco_file import CocoFile, by_rising_id
from trace_mm.files.file_names import ListedImages

_LISTS = {".json", ".txt"}


def expand_inputs(
    inputs: Any,
    exclude: Sequence[Path] = (),
    tell: Callable[[str], None] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> ImageSources:
    """List the images that are meant, in a fixed order.

    A folder stands for the images in it and its subfolders, by suffix, sorted; hidden files and
    folders are left out. A pattern with ``*``, ``?``, ``[...]`` or ``**`` is searched likewise. A
    ``.txt`` file lists an image a line, a ``.json`` file is a COCO file whose ``images`` are meant.

    Results are named after the path within the folder or pattern, without the suffix. If two files
    would share a name, all are named after their path from the folder that holds all of them, and
    files that differ in nothing but the suffix keep it. A file that is given twice is listed twice
    under one name.

    Args:
        inputs: a path, folder, pattern, array, tensor, PIL image, or a list of these. Arrays are as
            :func:`trace_mm.apis.load_image` takes them; tensors are RGB, (3, H, W), (1, 3, H, W) or
            (H, W, 3), uint8 or float in [0, 1], on any device.
        exclude: folders that are not searched, such as those that results go to.
        tell: called with what was passed over in a folder or pattern, a line each; None for nobody.
        root: folder of the images that a list or a COCO file names; None is where that file lies.

    Returns:
        The images; at least one.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if a folder, pattern or list holds no image, a list cannot be read, a tensor is
            of another shape, or there is no input at all.
        TypeError: if an input is of another type.
    """
    items = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if not items:
        raise ValueError("there is no input")
    skipped = {Path(folder).resolve() for folder in exclude}
    sources = ImageSources()
    for number, item in enumerate(items):
        if _is_tensor(item):
            item = _tensor_pixels(item, f"input {number}")
        if isinstance(item, (np.ndarray, Image.Image)):
            sources.append(ImageSource(f"image_{number:06d}", item))
        elif isinstance(item, (str, os.PathLike)):
            others = OtherFiles()
            for source in _expand_path(os.fspath(item), skipped, others, root):
                sources.append(source)
            if tell is not None:
                for line in others.describe(os.fspath(item)):
                    tell(line)
        else:
            raise TypeError(
                f"input {number} must be a path, a numpy array, a tensor or a PIL image, got "
                f"{type(item).__name__}"
            )
    return sources.distinct()


def _is_tensor(item: Any) -> bool:
    torch = sys.modules.get("torch")  # without it there are no tensors
    return torch is not None and isinstance(item, torch.Tensor)


def _tensor_pixels(tensor: Any, name: str) -> NDArray[Any]:
    """The pixels (H, W, 3) of a tensor; where 3 is the first side and the last, the first counts.

    Raises:
        ValueError: if it is of another shape.
    """
    shape = tuple(tensor.shape)
    pixels = tensor[0] if len(shape) == 4 and shape[0] == 1 else tensor
    if pixels.ndim != 3 or 3 not in (pixels.shape[0], pixels.shape[2]):
        raise ValueError(
            f"{name}: a tensor must be (3, H, W), (1, 3, H, W) or (H, W, 3), got {shape}; give a "
            f"batch as a list"
        )
    if pixels.shape[0] == 3:
        pixels = pixels.permute(1, 2, 0)
    if pixels.is_floating_point():
        pixels = pixels.float()  # numpy has no bfloat16
    array: NDArray[Any] = pixels.detach().cpu().numpy()
    return array


def _expand_path(
    text: str, skipped: set[Path], others: OtherFiles, root: str | os.PathLike[str] | None
) -> Iterator[ImageSource]:
    path = Path(text).expanduser()
    if text and path.is_dir():
        return _expand_folder(path, skipped, others)
    if text and path.exists():
        if path.suffix.lower() in _LISTS:
            return _expand_list(path, path.parent if root is None else Path(root).expanduser())
        return iter([ImageSource(path.stem, path)])
    if glob.has_magic(text):
        return _expand_pattern(str(path), skipped, others)
    raise FileNotFoundError(f"{text or repr(text)}: no such file or folder")


def _expand_folder(folder: Path, skipped: set[Path], others: OtherFiles) -> Iterator[ImageSource]:
    found = False
    for file in walk_images(folder, skipped, others):
        found = True
        yield ImageSource(stem_of(file.relative_to(folder)), file)
    if not found:
        told = "; ".join([f"{folder}: the folder holds no images", *others.describe("in it")])
        raise ValueError(f"{told} (images are {_suffixes()})")


def _expand_list(file: Path, root: Path) -> Iterator[ImageSource]:
    """The images that a list of paths or a COCO file names."""
    if file.suffix.lower() == ".json":
        listed = by_rising_id(CocoFile.read(file).require("images").images())
        names = ((image.name, key) for key, image in listed.items())
    else:
        lines = os.fsdecode(file.read_bytes().removeprefix(codecs.BOM_UTF8)).splitlines()
        names = ((line.strip(), line.strip()) for line in lines if line.strip())
    paths = ListedImages(root).find_all(names, file)
    if not paths:
        raise ValueError(f"{file}: lists no images")
    for path in paths:
        inside = path.is_relative_to(root)
        yield ImageSource(stem_of(path.relative_to(root)) if inside else path.stem, path)


def _expand_pattern(pattern: str, skipped: set[Path], others: OtherFiles) -> Iterator[ImageSource]:
    # Path.glob takes no absolute patterns.
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    found = [path for path in matches if path.is_file() and not _is_below(path, skipped)]
    files = sorted(filter(is_image_file, found), key=PurePath.as_posix)
    for path in found:
        if not is_image_file(path):
            others.add(path)
    if not files:
        raise ValueError(f"{pattern}: no image matches ({_suffixes()})")
    root = Path(*_fixed_parts(pattern))
    return (ImageSource(stem_of(path.relative_to(root)), path) for path in files)


def _fixed_parts(pattern: str) -> Iterable[str]:
    """The leading folders of a pattern, up to the first with a wildcard."""
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _is_below(path: Path, folders: set[Path]) -> bool:
    return not folders.isdisjoint(path.resolve().parents)


def _suffixes() -> str:
    return " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
