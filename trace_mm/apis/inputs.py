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
from trace_mm.files.addresses import is_address
from trace_mm.files.coco_file import CocoFile, by_rising_id
from trace_mm.files.file_names import ListedImages, find_listed
from trace_mm.files.folders import images_in
from trace_mm.files.json_values import ImageId
from trace_mm.files.members import content_of
from trace_mm.files.store_paths import FilePath, StorePath, as_path, pure_path, with_states
from trace_mm.files.stored_images import StoredImages
from trace_mm.files.stores import state_of

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

    Folders, lists and images may lie in a store: an address such as ``s3://bucket/photos`` stands
    for the same as a path, and a list may hold addresses. One that ends in ``/`` is a folder. There
    are no patterns of addresses.

    Results are named after the path within the folder or pattern, without the suffix. If two files
    would share a name, all are named after their path from the folder that holds all of them, and
    files that differ in nothing but the suffix keep it. A file that is given twice is listed twice
    under one name.

    Args:
        inputs: a path, folder, pattern, address, array, tensor, PIL image, or a list of these.
            Arrays are as :func:`trace_mm.apis.load_image` takes them; tensors are RGB, (3, H, W),
            (1, 3, H, W) or (H, W, 3), uint8 or float in [0, 1], on any device.
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
        OSError: if a store cannot be listed or asked; names the address.
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
) -> Iterable[ImageSource]:
    place = as_path(text)
    if isinstance(place, StorePath):
        return _expand_address(text, place, others, root)
    path = place.expanduser()
    if text and path.is_dir():
        return _expand_folder(path, skipped, others)
    if text and path.exists():
        return _expand_file(path, path.parent, root)
    if glob.has_magic(text):
        return _expand_pattern(str(path), skipped, others)
    raise FileNotFoundError(f"{text or repr(text)}: no such file or folder")


def _expand_file(
    path: FilePath, folder: FilePath, root: str | os.PathLike[str] | None
) -> Iterable[ImageSource]:
    """A file that is there, in a folder."""
    if path.suffix.lower() not in _LISTS:
        return [ImageSource(stem_of(PurePath(path.name)), path)]
    place = folder if root is None else as_path(root)
    return _expand_list(path, place.expanduser() if isinstance(place, Path) else place)


def _expand_folder(folder: Path, skipped: set[Path], others: OtherFiles) -> Iterator[ImageSource]:
    found = False
    for file in walk_images(folder, skipped, others):
        found = True
        yield ImageSource(stem_of(file.relative_to(folder)), file)
    if not found:
        raise _no_images(folder, others)


def _expand_address(
    text: str, place: StorePath, others: OtherFiles, root: str | os.PathLike[str] | None
) -> Iterable[ImageSource]:
    state = None if text.endswith("/") else state_of(text)
    if state is not None:
        return _expand_file(StorePath(text, state), place.parent, root)
    sources = ImageSources(
        ImageSource(stem_of(pure_path(file).relative_to(place.pure)), file)
        for file in images_in(place, others)
    )
    if sources:
        return sources.in_order()
    if others:
        raise _no_images(place, others)
    remark = " (patterns are of local files only)" if glob.has_magic(text) else ""
    raise FileNotFoundError(f"{text}: no such file or folder{remark}")


def _no_images(folder: FilePath, others: OtherFiles) -> ValueError:
    told = "; ".join([f"{folder}: the folder holds no images", *others.describe("in it")])
    return ValueError(f"{told} (images are {_suffixes()})")


def _expand_list(file: FilePath, root: FilePath) -> Iterator[ImageSource]:
    """The images that a list of paths or a COCO file names."""
    annotations = file.suffix.lower() == ".json"
    if annotations:
        listed = by_rising_id(CocoFile.read(file).require("images").images())
        names = ((image.name, key) for key, image in listed.items())
    else:
        lines = os.fsdecode(content_of(file).removeprefix(codecs.BOM_UTF8)).splitlines()
        names = ((line.strip(), line.strip()) for line in lines if line.strip())
    images = ListedImages(root) if isinstance(root, Path) else StoredImages(root)
    # Annotations of local images may have the addresses that these once came from.
    local = annotations and isinstance(root, Path)

    def find(name: str, key: ImageId) -> FilePath | None:
        found = images.find(name, key) if local or not is_address(name) else None
        return as_path(name) if found is None and is_address(name) else found

    paths: list[FilePath] = find_listed(find, names, root, file)
    if not paths:
        raise ValueError(f"{file}: lists no images")
    top = pure_path(root)
    for path in with_states(paths, file):
        pure = pure_path(path)
        inside = pure.is_relative_to(top)
        yield ImageSource(stem_of(pure.relative_to(top) if inside else PurePath(pure.name)), path)


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
