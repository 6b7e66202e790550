"""PASCAL VOC 2012: instance masks, classes, void pixels and difficult objects."""

from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.converters.annotation_file import annotation_file
from trace_mm.files.coco import encode_rle, instance_annotation
from trace_mm.files.id_maps import IdMap, read_id_map
from trace_mm.runs.progress import watched

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
VOC_VOID = -1
"""Value of void pixels in both kinds of maps, as :func:`read_voc_maps` returns them."""
_SAME_BOX = 0.5  # IoU from which an object of the XML is taken for that of a mask

_Object = tuple[str, NDArray[np.float64], bool]  # class, box x1 y1 x2 y2, difficult


VOC_FOLDERS = ("ImageSets", "JPEGImages", "SegmentationClass", "SegmentationObject")
"""Folders of the dataset that converters read, or whose files they name."""


def convert_voc2012(
    data_root: str | Path, split: str = "val", progress: bool = True
) -> dict[str, Any]:
    """Masks of ``SegmentationObject``, classes of ``SegmentationClass``.

    An instance's class is the one that most of its pixels have. It is difficult if its object in
    ``Annotations/<name>.xml`` is: the one of that class whose box overlaps the mask's most, with an
    IoU of at least 0.5. Without such an object, or such a file, it is not. Pixels of value 255 are
    void, in maps of 8 bits, and go with the image as ``void_segmentation``.

    Args:
        data_root: ``VOCdevkit/VOC2012``.
        split: name of a list in ``ImageSets/Segmentation``, such as "val" (1,449 images) or
            "trainval" (2,913).
        progress: show a progress bar.

    Returns:
        Content of a class-agnostic annotation file; annotations also have ``difficult``. The id of
        ``2007_000033`` is 2007000033.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if a file is not as it should be; names it and the object.
    """
    root = Path(data_root)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for stem in watched(read_voc_list(root, split), show=progress, label="VOC 2012"):
        objects, _, classes = read_voc_maps(root, stem)
        image = voc_image(stem, objects.shape)
        images.append({**image, "void_segmentation": encode_rle(objects == VOC_VOID)})
        listed = _read_objects(root / "Annotations" / f"{stem}.xml")
        for value, category in classes.items():
            record = instance_annotation(objects == value, category)
            record["difficult"] = int(_is_difficult(record["bbox"], category, listed))
            annotations.append({**record, "image_id": image["id"]})
    categories = [{"id": key, "name": name} for key, name in enumerate(VOC_CLASSES, start=1)]
    return annotation_file(f"VOC 2012 {split}", images, annotations, categories)


def read_voc_list(root: Path, split: str) -> list[str]:
    """The names of a list in ``ImageSets/Segmentation``, without folder and suffix.

    A line may also hold paths, as some lists of the augmented training set do: then its first one
    counts.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if it is empty, or holds a name twice or one that is not VOC's.
    """
    return read_names(root / "ImageSets" / "Segmentation" / f"{split}.txt")


def read_names(path: Path) -> list[str]:
    """The names of VOC's images that a file lists; see :func:`read_voc_list`.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if it is empty, or holds a name twice or one that is not VOC's.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of images")
    lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    stems = [PurePosixPath(words[0]).stem for words in lines if words]
    if not stems:
        raise ValueError(f"{path}: the list is empty")
    seen: set[str] = set()
    for stem in stems:
        if not stem.replace("_", "").isascii() or not stem.replace("_", "").isdigit():
            raise ValueError(f"{path}: {stem!r} is not the name of an image of VOC 2012")
        if stem in seen:
            raise ValueError(f"{path}: {stem} is listed twice")
        seen.add(stem)
    return stems


def read_voc_maps(
    root: Path, stem: str
) -> tuple[NDArray[np.int32], NDArray[np.int32], dict[int, int]]:
    """What VOC says of the pixels of an image.

    Returns:
        The maps of objects and of classes, int32 (H, W) each, 0 for background and -1 for void; and
        the class of each object, which is the one that most of its pixels have.

    Raises:
        FileNotFoundError: if a map is missing.
        ValueError: if one is no map, their sizes differ, or an object has no class that VOC has;
            names the file.
    """
    path = root / "SegmentationObject" / f"{stem}.png"
    objects = _with_void(read_id_map(path))  # (H, W)
    classes = _with_void(read_id_map(root / "SegmentationClass" / f"{stem}.png"))  # (H, W)
    if objects.shape != classes.shape:
        raise ValueError(
            f"{path}: the map is {objects.shape} (H, W), the map of classes {classes.shape}"
        )
    values = np.unique(objects[objects > 0]).tolist()
    found = {
        value: _class_of(classes[objects == value], f"{path}: object {value}") for value in values
    }
    return objects, classes, found


def _with_void(found: IdMap) -> NDArray[np.int32]:
    if found.void is None:
        return found.ids
    return np.where(found.ids == found.void, VOC_VOID, found.ids).astype(np.int32)


def voc_image(stem: str, size: tuple[int, ...]) -> dict[str, Any]:
    """What COCO files say of an image; the id of ``2007_000033`` is 2007000033."""
    height, width = size
    return {
        "id": int(stem.replace("_", "")),
        "file_name": f"{stem}.jpg",
        "height": height,
        "width": width,
    }


def _class_of(pixels: NDArray[np.int32], label: str) -> int:
    """The class of most pixels of an object, from 1."""
    counts = np.bincount(pixels[pixels > 0], minlength=1)
    category = int(counts.argmax())
    if not counts[category]:
        raise ValueError(f"{label} has no class in SegmentationClass")
    if category > len(VOC_CLASSES):
        raise ValueError(f"{label} is of class {category}, VOC has {len(VOC_CLASSES)}")
    return category


def _read_objects(path: Path) -> list[_Object]:
    """Objects of an annotation file; none if there is no such file."""
    if not path.is_file():
        return []
    try:
        objects = []
        for item in ElementTree.parse(path).getroot().iter("object"):
            corners = [
                float(_text(item, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")
            ]
            # Pixels count from 1 there, and the last one belongs to the box.
            box = np.array(corners) - (1, 1, 0, 0)
            difficult = item.findtext("difficult", default="0").strip() == "1"
            objects.append((_text(item, "name"), box, difficult))
        return objects
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path}: not an annotation file of VOC: {error}") from error


def _text(item: ElementTree.Element, key: str) -> str:
    value = item.findtext(key)
    if value is None:
        raise ValueError(f"an object has no {key}")
    return value.strip()


def _is_difficult(box: list[int], category: int, objects: list[_Object]) -> bool:
    left, top, width, height = box
    ours = np.array([left, top, left + width, top + height], dtype=np.float64)
    best, difficult = _SAME_BOX, False
    for name, theirs, marked in objects:
        if name == VOC_CLASSES[category - 1]:
            overlap = _iou(ours, theirs)
            if overlap >= best:
                best, difficult = overlap, marked
    return difficult


def _iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Overlap of two boxes x1, y1, x2, y2."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]))
    return shared / (areas - shared) if areas > shared else 0.0
