"""A folder with a semantic map for each image, as class numbers."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.files import OtherFiles, SizeEvidence, map_sizes, same_shape
from trace_mm.files.id_maps import ID_COLORS, VOID, folder_colors, glances, read_id_map
from trace_mm.files.images import MAX_PIXELS
from trace_mm.files.map_pixels import ids_in
from trace_mm.files.members import AnyFile
from trace_mm.files.store_paths import (
    as_path,
    packed_path,
    unpacked_path,
)
from trace_mm.panoptic.classes import PanopticClasses
from trace_mm.refinement.image_maps import ImageMaps, maps_in
from trace_mm.runs.packed import PackedStrings

_SUFFIXES = (".png", ".npy")
MOST_SEEN = 256
"""Maps of a folder that are looked at before the work begins."""


@dataclass(frozen=True)
class SeenMaps:
    """What some maps of a folder hold.

    Attributes:
        maps: the ids in each map of ids.
        scores: the number of classes in each map of scores.
    """

    maps: tuple[frozenset[int], ...]
    scores: tuple[int, ...]

    @property
    def ids(self) -> frozenset[int]:
        """All ids."""
        return frozenset().union(*self.maps)


def see_maps(folder: str | os.PathLike[str]) -> SeenMaps:
    """Look at up to 256 maps, spread evenly over a folder; those that cannot be read are left out.

    Raises:
        FileNotFoundError: if there is no such folder.
        OSError: if a store cannot be listed.
    """
    paths = PackedStrings(
        map(packed_path, maps_in(as_path(folder), _SUFFIXES, OtherFiles(), "semantic maps"))
    )
    count = min(MOST_SEEN, len(paths))
    return look_at([unpacked_path(paths[number * len(paths) // count]) for number in range(count)])


def look_at(some: Sequence[AnyFile]) -> SeenMaps:
    """Look at maps; those that cannot be read are left out."""
    colors = folder_colors([path for path in some if _is_picture(path.name)])
    maps: list[frozenset[int]] = []
    scores: list[int] = []
    for path in some:
        try:
            if _is_picture(path.name):
                maps.append(frozenset(ids_in(read_id_map(path, colors=colors).ids)))
                continue
            values = _load(path)
        except (ValueError, OSError):  # reading it says so
            continue
        if values.ndim == 3 and values.dtype.kind == "f":
            scores.append(len(values))
        elif values.ndim == 2 and values.dtype.kind in "biu":
            maps.append(frozenset(ids_in(values.astype(np.int64))))
    return SeenMaps(tuple(maps), tuple(scores))


@dataclass(frozen=True)
class SemanticMapReader:
    """Reads semantic maps as class numbers; it is small, and can be pickled.

    A ``.png`` holds ids as DHR, MARS, VOC and COCO-Stuff write them, see
    :func:`trace_mm.files.id_maps.read_id_map`; of colours, VOC's. A ``.npy`` holds whole numbers
    (H, W), which are ids as well, or floats (C, h, w), the scores of the C classes by rising id, of
    which each pixel's highest counts. Maps of ids must have the image's size; scores are resized to
    it, bilinearly, before they are compared.

    Attributes:
        classes: what the ids mean.
        colors: what RGB pixels mean, see :func:`trace_mm.files.id_maps.folder_colors`.
    """

    classes: PanopticClasses
    colors: str

    def read(self, path: AnyFile, size: tuple[int, int]) -> NDArray[np.int32]:
        """The class numbers of a map.

        Args:
            path: of the map.
            size: (H, W) of its image.

        Returns:
            int32 (H, W), -1 where void.

        Raises:
            ValueError: if it cannot be read, is of another size, or has ids or scores of other
                classes; names the file.
        """
        if _is_picture(path.name):
            found = read_id_map(path, size, self.colors)
            if found.stored == ID_COLORS:
                raise ValueError(
                    f"{path}: must hold ids of classes, but holds colours that are not VOC's"
                )
            return self.classes.classes_of(found.ids, str(path), eight_bits=found.void == VOID)
        values = _load(path)
        if values.ndim == 3 and values.dtype.kind == "f":
            return self._best(values, size, path)
        if values.shape != size:
            raise ValueError(f"{path}: is {values.shape}, but the image is {size} (H, W)")
        return self.classes.classes_of(values, str(path))

    def evidence(self, path: AnyFile) -> SizeEvidence:
        """What a map tells of its image's size; nothing if it is damaged."""
        if _is_picture(path.name):
            return SizeEvidence(map_sizes(path))
        try:
            values = _load(path)
        except ValueError:
            return SizeEvidence()
        size = values.shape[-2], values.shape[-1]
        return SizeEvidence([size], scaled=values.ndim == 3)

    def _best(
        self, scores: NDArray[Any], size: tuple[int, int], path: AnyFile
    ) -> NDArray[np.int32]:
        """The class with the highest score (C, h, w) of each pixel; of equal ones the first."""
        ids = sorted(self.classes.ids)
        if len(scores) != len(ids) or not scores.size:
            raise ValueError(
                f"{path}: must hold scores (C, h, w) of the {len(ids)} classes, is {scores.shape}"
            )
        if not same_shape(scores.shape[1:], size):
            raise ValueError(
                f"{path}: scores {scores.shape[1:]} have not the shape of {size} (H, W)"
            )
        best = np.full(size, -np.inf, dtype=np.float32)
        found = np.zeros(size, dtype=np.int32)
        for number, plane in zip(ids, scores, strict=True):  # one at a time, to save memory
            plane = plane.astype(np.float32)
            if not np.isfinite(plane).all():
                raise ValueError(f"{path}: scores must be finite")
            if plane.shape != size:
                plane = cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR)  # (H, W)
            better = plane > best
            best[better] = plane[better]
            found[better] = self.classes.semantic_ids[number]
        return found


class SemanticMaps(ImageMaps):
    """Semantic maps in a folder, ``<stem>.png`` or ``<stem>.npy``, and which image each is of.

    Args:
        folder: local or of a store; searched with its subfolders.
        classes: what the ids mean.

    Attributes:
        reader: of these maps.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it holds no map, or two maps of one stem; names both.
    """

    def __init__(self, folder: str | os.PathLike[str], classes: PanopticClasses) -> None:
        super().__init__(folder, _SUFFIXES, "semantic map")
        pictures = PackedStrings(file for file in self.files if _is_picture(file))
        some = [self.path(file) for file in glances(pictures)]
        self.reader = SemanticMapReader(classes, folder_colors(some))


def _is_picture(name: str) -> bool:
    return name.partition("\0")[0].lower().endswith(".png")


def _load(path: AnyFile) -> NDArray[Any]:
    try:
        if isinstance(path, Path):
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            values = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except Exception as error:  # numpy raises many kinds on damaged headers
        raise ValueError(f"{path}: not a readable array: {error}") from error
    if not isinstance(values, np.ndarray) or values.ndim < 2:
        raise ValueError(f"{path}: must hold ids (H, W) or scores (C, h, w)")
    if values.shape[-1] * values.shape[-2] > MAX_PIXELS:
        raise ValueError(f"{path}: a map of {values.shape[-2:]} (H, W) is too large")
    return values
