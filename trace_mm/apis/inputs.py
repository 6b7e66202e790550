"""What a user points at, as an ordered list of images with output names that never collide."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files import (
    IMAGE_SUFFIXES,
    OtherFiles,
    absolute_path,
    is_image_file,
    walk_images,
)
from trace_mm.short_repr import ShortRepr


@dataclass(frozen=True, repr=False)
class ImageSource(ShortRepr):
    """One image to read.

    Attributes:
        name: of its results, without suffix: a relative path with forward slashes. Two different
            files never share one, not even on file systems that ignore case.
        image: a path, an array or a PIL image, as :func:`trace_mm.apis.load_image` takes it.
    """

    name: str
    image: Path | NDArray[Any] | Image.Image

    @property
    def label(self) -> str:
        """What messages call it: the path where there is one."""
        return str(self.image) if isinstance(self.image, Path) else self.name


def expand_inputs(
    inputs: Any, exclude: Sequence[Path] = (), tell: Callable[[str], None] | None = None
) -> list[ImageSource]:
    """List the images that are meant, in a fixed order.

    A folder stands for the images in it and its subfolders, by suffix, sorted; hidden files and
    folders are left out. A pattern with ``*``, ``?``, ``[...]`` or ``**`` is searched likewise.

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

    Returns:
        The images; at least one.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if a folder or pattern holds no image, a tensor is of another shape, or there is
            no input at all.
        TypeError: if an input is of another type.
    """
    items = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if not items:
        raise ValueError("there is no input")
    skipped = {Path(folder).resolve() for folder in exclude}
    sources: list[ImageSource] = []
    for number, item in enumerate(items):
        if _is_tensor(item):
            item = _tensor_pixels(item, f"input {number}")
        if isinstance(item, (np.ndarray, Image.Image)):
            sources.append(ImageSource(f"image_{number:06d}", item))
        elif isinstance(item, (str, os.PathLike)):
            others = OtherFiles()
            sources.extend(_expand_path(os.fspath(item), skipped, others))
            if tell is not None:
                for line in others.describe(os.fspath(item)):
                    tell(line)
        else:
            raise TypeError(
                f"input {number} must be a path, a numpy array, a tensor or a PIL image, got "
                f"{type(item).__name__}"
            )
    return _with_distinct_names(sources)


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


def input_files(sources: Iterable[ImageSource]) -> list[Path]:
    """The files among the images."""
    return [source.image for source in sources if isinstance(source.image, Path)]


def _expand_path(text: str, skipped: set[Path], others: OtherFiles) -> list[ImageSource]:
    path = Path(text).expanduser()
    if text and path.is_dir():
        found = [
            ImageSource(_stem(file.relative_to(path)), file)
            for file in walk_images(path, skipped, others)
        ]
        if not found:
            told = "; ".join([f"{path}: the folder holds no images", *others.describe("in it")])
            raise ValueError(f"{told} (images are {_suffixes()})")
        return found
    if text and path.exists():
        return [ImageSource(path.stem, path)]
    if glob.has_magic(text):
        return _expand_pattern(str(path), skipped, others)
    raise FileNotFoundError(f"{text or repr(text)}: no such file or folder")


def _expand_pattern(pattern: str, skipped: set[Path], others: OtherFiles) -> list[ImageSource]:
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
    return [ImageSource(_stem(path.relative_to(root)), path) for path in files]


def _fixed_parts(pattern: str) -> Iterable[str]:
    """The leading folders of a pattern, up to the first with a wildcard."""
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _is_below(path: Path, folders: set[Path]) -> bool:
    return not folders.isdisjoint(path.resolve().parents)


def _stem(path: PurePath) -> str:
    return path.with_suffix("").as_posix()


def _suffixes() -> str:
    return " ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))


def _with_distinct_names(sources: list[ImageSource]) -> list[ImageSource]:
    """Rename sources so that different files have different names."""
    if not _ambiguous(sources):
        return sources
    paths = [absolute_path(s.image) for s in sources if isinstance(s.image, Path)]
    root = Path(os.path.commonpath([path.parent for path in paths]))
    if len({path.parent for path in paths}) > 1:
        sources = [
            replace(s, name=_stem(absolute_path(s.image).relative_to(root)))
            if isinstance(s.image, Path)
            else s
            for s in sources
        ]
    suffixed: set[int] = set()
    while clashing := _ambiguous(sources):
        # More than one round: "a.png", once it keeps its suffix, meets the stem of "a.png.gif".
        chosen = {
            number
            for number, source in enumerate(sources)
            if source.name.casefold() in clashing and isinstance(source.image, Path)
        }
        if chosen <= suffixed:
            labels = sorted({s.label for s in sources if s.name.casefold() in clashing})
            raise ValueError(f"results of {' and '.join(labels[:2])} would have the same name")
        sources = [
            replace(source, name=source.name + source.image.suffix)
            if number in chosen - suffixed and isinstance(source.image, Path)
            else source
            for number, source in enumerate(sources)
        ]
        suffixed |= chosen
    return sources


def _ambiguous(sources: Sequence[ImageSource]) -> set[str]:
    """Case-folded names that more than one file would get."""
    identities = {
        (s.name.casefold(), absolute_path(s.image) if isinstance(s.image, Path) else id(s))
        for s in sources
    }
    counts = Counter(name for name, _ in identities)
    return {name for name, count in counts.items() if count > 1}
