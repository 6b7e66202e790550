"""In which orientation a photo is read: the one rule for all that reads photos with annotations.

A photo is turned as its EXIF data says, unless only its stored pixels fit what has been annotated:
tools differ in whether they turn photos. What fits is told, in this order, by the sizes of masks
and maps, by outlines that reach out of the photo, and by the size that a file states, which is
wrong in some files. Where nothing tells, as in square and in mirrored photos, it is turned.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_mm.files.coco import decode_rle
from trace_mm.files.exif import turn, turn_back
from trace_mm.files.images import MAX_PIXELS, decode_stored, read_file
from trace_mm.files.json_values import as_integer
from trace_mm.files.members import AnyFile, as_file

Size = tuple[int, int]
"""(H, W)."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

STORED = (
    "the annotation fits the pixels as they are stored, not as EXIF turns them: what else reads "
    "the photo with it must not turn it"
)
"""What a run says of a photo that it has not turned."""

_TOLERANCE = 2.0  # pixels by which outlines may reach out of a photo that they fit


@dataclass(frozen=True)
class SizeEvidence:
    """What an annotation of a photo tells of the photo's size.

    Attributes:
        maps: sizes of masks and maps that are sound.
        outlines: boxes around polygons.
        stated: the size that a file states.
        scaled: whether maps may have the photo's shape at another scale.
    """

    maps: Sequence[Size] = ()
    outlines: Sequence[Box] = ()
    stated: Size | None = None
    scaled: bool = False

    def votes(self, one: Size, other: Size) -> int:
        """Above 0 if more speaks for the photo being of one size, below if for the other."""
        fits_map = same_shape if self.scaled else _equal
        by_map = sum(fits_map(size, one) - fits_map(size, other) for size in self.maps)
        by_outline = sum(_fits_in(box, one) - _fits_in(box, other) for box in self.outlines)
        by_file = int(self.stated == one) - int(self.stated == other)
        return by_map or by_outline or by_file


@dataclass(frozen=True)
class Orientation:
    """Whether pixels of a photo, and what belongs to them, are as they are stored or turned.

    Attributes:
        exif: how stored pixels are turned to be upright, 1 to 8 as in EXIF.
        upright: whether they are.
    """

    exif: int = 1
    upright: bool = True

    def __deepcopy__(self, memo: object) -> "Orientation":
        return self  # it cannot be changed; samples copy what they are given

    def fit(self, values: NDArray[Any], size: Size) -> NDArray[Any]:
        """A map of the photo, in this orientation if it is in the other one.

        Args:
            values: (h, w, ...), such as an edge map that another program has made.
            size: (H, W) of the photo in this orientation.

        Returns:
            (H, W, ...) if the map has that size in one of the orientations, else the map as it is.
        """
        if values.shape[:2] == size or self.exif < 5 or values.shape[:2] != size[::-1]:
            return values
        turned = (turn if self.upright else turn_back)(values, self.exif)
        return np.ascontiguousarray(turned)

    def other_fits(self, size: Size, evidence: Callable[[], SizeEvidence]) -> bool:
        """Whether an annotation is of the other orientation than pixels of the size (H, W)."""
        if self.exif < 5 or size[0] == size[1]:
            return False
        votes = evidence().votes(size, size[::-1])
        return votes < 0 or (votes == 0 and not self.upright)


@dataclass(frozen=True)
class Photo:
    """A photo as it is read.

    Attributes:
        pixels: float32 (H, W, 3) RGB in [0, 1].
        orientation: in which they are.
    """

    pixels: NDArray[np.float32]
    orientation: Orientation

    @property
    def size(self) -> Size:
        """(H, W)."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def notes(self) -> list[str]:
        """What is to be known of it: that it has not been turned."""
        return [] if self.orientation.upright else [STORED]


def read_photo(path: str | AnyFile, evidence: Callable[[], SizeEvidence] | None = None) -> Photo:
    """Read a photo, of any kind that :func:`trace_mm.files.load_image` reads, by the rule above.

    Args:
        path: the image file.
        evidence: what tells its size; called only if the photo's size depends on it. None if there
            is no annotation.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a readable image; names it and the cause.
    """
    stored, exif = decode_stored(read_file(as_file(path)), str(path))
    photo = Photo(np.ascontiguousarray(turn(stored, exif)), Orientation(exif))
    if evidence is not None and photo.orientation.other_fits(photo.size, evidence):
        return Photo(stored, Orientation(exif, upright=False))
    return photo


def read_photo_of(path: str | Path, size: Size) -> Photo:
    """Read a photo that a map or mask of a size (H, W) belongs to; see :func:`read_photo`."""
    return read_photo(path, lambda: SizeEvidence([size]))


def coco_evidence(annotations: Iterable[Any], stated: Size | None = None) -> SizeEvidence:
    """What COCO annotations tell of their image's size.

    Args:
        annotations: of one image. What is wrong with one tells nothing, and is no error here.
        stated: the size that the entry of ``images`` states.
    """
    maps: list[Size] = []
    outlines: list[Box] = []
    for annotation in annotations:
        segmentation = annotation.get("segmentation") if isinstance(annotation, dict) else None
        if isinstance(segmentation, dict):
            maps += _sound_size(segmentation)
        elif isinstance(segmentation, list):
            outlines += _outline(segmentation)
    return SizeEvidence(maps, outlines, stated)


def map_sizes(*paths: AnyFile) -> list[Size]:
    """Sizes of those of some images of masks, classes or ids that can be read; none is turned."""
    sizes = []
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what matters is raised
                with Image.open(io.BytesIO(read_file(path))) as image:
                    image.load()
                    sizes.append((image.height, image.width))
        except Exception:  # decoders raise many kinds on damaged data
            continue
    return sizes


def same_shape(size: tuple[int, ...], photo: Size) -> bool:
    """Whether a map (h, w) is one (H, W) at another scale, but for rounding."""
    scale = math.sqrt(size[0] * size[1] / (photo[0] * photo[1]))
    return all(abs(one - scale * other) <= 1 for one, other in zip(size, photo, strict=True))


def annotated_size(annotations: Sequence[Any], stated: Size) -> Size:
    """The size (H, W) of an image whose photo is not at hand, such as that of a file of truth.

    It is what the file states, unless only the other way round fits the annotations.

    Args:
        annotations: of the image, as in :func:`coco_evidence`.
        stated: (H, W) as the entry of ``images`` states it.
    """
    turned = stated[1], stated[0]
    fits_both = turned == stated or all(_says_nothing(one, stated) for one in annotations)
    if fits_both or coco_evidence(annotations).votes(stated, turned) >= 0:
        return stated
    return turned


def _says_nothing(annotation: Any, stated: Size) -> bool:
    """Whether an annotation fits a size both ways, or is RLE of it; quick, for there are many."""
    segmentation = annotation.get("segmentation") if isinstance(annotation, dict) else None
    if isinstance(segmentation, dict):
        return segmentation.get("size") == list(stated)
    try:
        return all(max(polygon) <= min(stated) for polygon in segmentation or [])
    except (TypeError, ValueError):  # of no numbers, or of none at all
        return False


def _sound_size(rle: dict[str, Any]) -> list[Size]:
    sides = rle.get("size")
    numbers = [as_integer(side) for side in sides] if isinstance(sides, (list, tuple)) else []
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return []
    size = numbers[0], numbers[1]
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        return []
    try:
        decode_rle(rle, size)
    except ValueError:
        return []
    return [size]


def _outline(polygons: list[Any]) -> list[Box]:
    corners: list[float] = []
    for polygon in polygons:
        if isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0:
            corners += polygon
    try:
        points = np.array(corners, dtype=np.float64).reshape(-1, 2)  # x, y
    except (TypeError, ValueError, OverflowError):
        return []
    if not len(points) or not np.isfinite(points).all():
        return []
    return [(*points.min(0).tolist(), *points.max(0).tolist())]


def _equal(size: Size, photo: Size) -> bool:
    return tuple(size) == photo


def _fits_in(box: Box, photo: Size) -> bool:
    left, top, right, bottom = box
    height, width = photo
    return (
        min(left, top) >= -_TOLERANCE
        and right <= width + _TOLERANCE
        and bottom <= height + _TOLERANCE
    )
