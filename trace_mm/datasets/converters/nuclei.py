"""Nuclei of microscopy: MoNuSeg, TNBC, COIN's copies of both, and the 2018 Data Science Bowl.

All have one class. Images are numbered from 1 by path, and file names are relative to the folder.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.converters.annotation_file import annotation_file
from trace_mm.datasets.converters.image_sizes import image_size
from trace_mm.files import instance_annotation, is_image_file, walk_files, walk_images
from trace_mm.files.binary_masks import read_mask
from trace_mm.files.coco import decode_segmentation
from trace_mm.files.id_maps import read_id_map
from trace_mm.files.map_pixels import ids_in
from trace_mm.runs.progress import watched

_NUCLEUS = [{"id": 1, "name": "nucleus"}]
_CORNERS = 3  # of the least polygon
_Read = Callable[[tuple[int, int]], list[NDArray[np.bool_]]]
"""The masks (H, W) of an image's nuclei, from its size (H, W); empty ones were not to be read."""


def convert_monuseg(data_root: str | Path, progress: bool = True) -> dict[str, Any]:
    """MoNuSeg: ``<stem>.xml`` of ImageScope for each image ``<stem>.tif``, in any subfolders.

    Each ``Annotations/Annotation/Regions/Region`` is a nucleus, whose ``Vertices/Vertex`` have the
    coordinates X and Y in pixels. Regions of fewer than three corners, of no pixel, and those that
    take away (``NegativeROA``) are left out and counted.

    Args:
        data_root: folder such as ``MoNuSegTestData``.
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file.

    Raises:
        FileNotFoundError: if there is no such folder, no XML file in it, or one without an image.
        ValueError: if a file is not as it should be, or two images have one stem; names the file.
    """
    root = _folder(data_root)
    labels = list(walk_files(root, lambda path: path.suffix.lower() == ".xml"))
    pairs = _paired(root, labels, walk_images(root), "XML file")
    return _convert("MoNuSeg", root, pairs, lambda path: _polygons_of(path), progress)


def convert_tnbc(data_root: str | Path, progress: bool = True) -> dict[str, Any]:
    """TNBC: ``Slide_<n>/<stem>.png`` with ``GT_<n>/<stem>.png``.

    The maps hold numbers of nuclei, or are black and white: then each 8-connected part is a
    nucleus, and nuclei that touch are one, which the file's note says.

    Args, Returns and Raises as for :func:`convert_monuseg`; the folder is
    ``TNBC_NucleiSegmentation``.
    """
    root = _folder(data_root)
    pairs = []
    for folder in sorted(path for path in root.glob("GT_*") if path.is_dir()):
        slides = root / folder.name.replace("GT_", "Slide_", 1)
        pairs += _beside(folder, slides)
    if not pairs:
        raise FileNotFoundError(f"{root}: no map GT_*/*.png in it")
    maps = {label: read_id_map(label).ids for _, label in pairs}
    binary = all(len(ids_in(ids)) <= 2 for ids in maps.values())
    note = (
        "the maps are black and white: each connected part is a nucleus, those that touch are one"
    )
    return _convert(
        "TNBC",
        root,
        pairs,
        lambda path: _masks_of(_parts(maps[path]) if binary else maps[path], path),
        progress,
        note if binary else None,
    )


def convert_coin(data_root: str | Path, progress: bool = True) -> dict[str, Any]:
    """MoNuSeg, TNBC and others as COIN has them: ``image/<stem>.*`` with ``mask/<stem>.png``.

    The maps hold numbers of nuclei as colours. These are the test sets of the paper's Table 15.

    Args, Returns and Raises as for :func:`convert_monuseg`; the folder is such as
    ``data/TNBC/test``.
    """
    root = _folder(data_root)
    pairs = _beside(root / "mask", root / "image")
    if not pairs:
        raise FileNotFoundError(f"{root / 'mask'}: no map *.png in it")
    return _convert(
        f"COIN {root.parent.name} {root.name}",
        root,
        pairs,
        lambda path: _masks_of(read_id_map(path, colors="ids").ids, path),
        progress,
    )


def convert_dsb2018(data_root: str | Path, progress: bool = True) -> dict[str, Any]:
    """2018 Data Science Bowl: a folder an image, with ``images/*`` and ``masks/*.png``.

    Each mask is a nucleus.

    Args, Returns and Raises as for :func:`convert_monuseg`; the folder is such as ``stage1_train``.
    """
    root = _folder(data_root)
    pairs = []
    for folder in sorted(path for path in root.iterdir() if (path / "masks").is_dir()):
        images = sorted(path for path in (folder / "images").glob("*") if is_image_file(path))
        if len(images) != 1:
            raise ValueError(f"{folder / 'images'}: there must be one image, not {len(images)}")
        pairs.append((images[0], folder / "masks"))
    if not pairs:
        raise FileNotFoundError(f"{root}: no folder with masks in it")
    return _convert("DSB 2018", root, pairs, _masks_in, progress)


NUCLEI: Mapping[str, Callable[..., dict[str, Any]]] = MappingProxyType(
    {
        "monuseg": convert_monuseg,
        "tnbc": convert_tnbc,
        "coin": convert_coin,
        "dsb2018": convert_dsb2018,
    }
)
"""The converters by the name of what they read."""


def _convert(
    dataset: str,
    root: Path,
    pairs: list[tuple[Path, Path]],
    reader_of: Callable[[Path], _Read],
    progress: bool,
    note: str | None = None,
) -> dict[str, Any]:
    """An annotation file of pairs of image and annotation."""
    images, annotations = [], []
    left_out = 0
    for number, (path, label) in enumerate(watched(pairs, show=progress, label=dataset), 1):
        width, height = image_size(path)
        name = path.relative_to(root).as_posix()
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for mask in reader_of(label)((height, width)):
            if mask.any():
                annotations.append({**instance_annotation(mask), "image_id": number})
            else:
                left_out += 1
    return annotation_file(
        dataset, images, annotations, _NUCLEUS, left_out=left_out, note=note, origin=root
    )


def _folder(data_root: str | Path) -> Path:
    root = Path(data_root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    return root


def _paired(
    root: Path, labels: list[Path], images: Iterable[Path], kind: str
) -> list[tuple[Path, Path]]:
    """Each image that an annotation is of, with it, by the image's path."""
    if not labels:
        raise FileNotFoundError(f"{root}: no {kind} in it")
    by_stem: dict[str, Path] = {}
    for path in images:
        if by_stem.setdefault(path.stem, path) != path:
            raise ValueError(f"{path}: {by_stem[path.stem]} has the same name")
    pairs = []
    for label in labels:
        if label.stem not in by_stem:
            raise FileNotFoundError(f"{label}: there is no image {label.stem} in {root}")
        pairs.append((by_stem.pop(label.stem), label))
    return sorted(pairs)


def _beside(maps: Path, images: Path) -> list[tuple[Path, Path]]:
    """The images of a folder with their maps of another."""
    labels = sorted(maps.glob("*.png")) if maps.is_dir() else []
    if not labels:
        return []
    if not images.is_dir():
        raise FileNotFoundError(f"{images}: no such folder of the images of {maps}")
    return _paired(images, labels, sorted(filter(is_image_file, images.iterdir())), "map")


def _polygons_of(path: Path) -> _Read:
    """The regions of an ImageScope file."""
    try:
        regions = ElementTree.parse(path).getroot().findall("Annotation/Regions/Region")
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: not an annotation file of ImageScope: {error}") from error

    def read(size: tuple[int, int]) -> list[NDArray[np.bool_]]:
        return [_region_mask(region, size, path) for region in regions]

    return read


def _region_mask(
    region: ElementTree.Element, size: tuple[int, int], path: Path
) -> NDArray[np.bool_]:
    """The mask of a polygon, empty if it is none."""
    corners = [
        (vertex.get("X", ""), vertex.get("Y", "")) for vertex in region.findall("Vertices/Vertex")
    ]
    if len(corners) < _CORNERS or region.get("NegativeROA") == "1":
        return np.zeros(size, dtype=bool)
    label = f"{path}: region {region.get('Id')}"
    try:
        polygon = [float(value) for corner in corners for value in corner]
        return decode_segmentation([polygon], size)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error


def _parts(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """The 8-connected parts of what is not 0, numbered from 1."""
    parts: NDArray[np.int32] = cv2.connectedComponents((ids != 0).astype(np.uint8))[1]
    return parts


def _masks_of(ids: NDArray[np.int32], path: Path) -> _Read:
    """Every number of a map but 0: also 255, which is no void in maps of nuclei."""

    def read(size: tuple[int, int]) -> list[NDArray[np.bool_]]:
        if ids.shape != size:
            raise ValueError(f"{path}: the map is {ids.shape} (H, W), the image {size}")
        return [ids == number for number in ids_in(ids) if number]

    return read


def _masks_in(folder: Path) -> _Read:
    """A mask for each file of a folder."""

    def read(size: tuple[int, int]) -> list[NDArray[np.bool_]]:
        return [read_mask(path, size)[0] for path in sorted(folder.glob("*.png"))]

    return read
