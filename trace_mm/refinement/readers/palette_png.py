"""Readers of folders with an id map for each image: semantic masks, VOC's objects, CUPS."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import SizeEvidence, map_sizes
from trace_mm.files.id_maps import (
    DEEP_GREY,
    ID_COLORS,
    VOID,
    IdMap,
    folder_colors,
    numbering,
    read_id_map,
)
from trace_mm.files.map_pixels import ids_in
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.readers.base import (
    BadMaskError,
    MaskReader,
    MaskRecord,
    OnBad,
    as_bad_masks,
    masks_of_ids,
)
from trace_mm.refinement.readers.source import MaskSource, some_of

_SEMANTIC, _INSTANCE = "_semantic.png", "_instance.png"
_OBJECT_FOLDER, _CLASS_FOLDER = "SegmentationObject", "SegmentationClass"


class DhrReader(MaskReader):
    """DHR, MARS and other semantic masks: ``<stem>.png`` of class ids, 0 background, 255 void.

    All that :func:`trace_mm.files.id_maps.read_id_map` reads; 255 is void in maps of 8 bits. One
    mask for each class of an image, with the class as its label; BGP splits it. Images without tags
    have no file. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the folder holds id maps, and these are not of objects; see ``VocReader``."""
        return bool(_sample(source)) and not VocReader.recognizes(source)

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        self._colors = folder_colors([source.path / name for name in source.files(".png")])
        return _png_records(source)

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        found = _read_ids(record.content, size, self._colors)
        return _checked(record, found.ids, found.present(), found.present())

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        return SizeEvidence(map_sizes(record.content))


class VocReader(MaskReader):
    """Numbers of objects, such as VOC's ``SegmentationObject``: ``<stem>.png``, 0 background.

    All that :func:`trace_mm.files.id_maps.read_id_map` reads; 255 is void in maps of 8 bits. The
    folder may be that of the dataset, which has ``SegmentationObject`` as a subfolder. If
    ``SegmentationClass`` stands beside it, labels are VOC's classes. If ids are class * 1000 +
    number of the object, as in Cityscapes' ``instanceIds``, or class * 256 + number, as in KITTI,
    labels are these classes, and what has no number is no object. Else labels are 1. See
    ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the folder is called so, or its maps number objects.

        They do if they count 1, 2, ... without a gap, are class * 1000 + number, have ids as
        colours, or ids above 255.
        """
        if is_voc_folder(source):
            return source.path.name != _CLASS_FOLDER
        maps = _sample(source)
        present = [found.present() for found in maps]
        return bool(maps) and (
            all(len(ids) == max(ids, default=0) for ids in present)
            or numbering(present) is not None
            or any(found.stored == ID_COLORS for found in maps)
            or any(
                found.stored == DEEP_GREY and max(found.present(), default=0) > VOID
                for found in maps
            )
        )

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        if _OBJECT_FOLDER in source.folders():
            source = MaskSource(source.path / _OBJECT_FOLDER)
        self._maps = source.path
        classes = source.path.parent / _CLASS_FOLDER
        self._classes = classes if source.path.name == _OBJECT_FOLDER and classes.is_dir() else None
        self._colors = folder_colors([source.path / name for name in source.files(".png")])
        self._divisor: int | None = None
        if self._classes is None:
            self._divisor = numbering(found.present() for found in _sample(source))
        if self._divisor is not None:
            self.notes.append(
                f"{source.path}: ids are read as class * {self._divisor} + number of the object: "
                "labels are these classes, and what has no number is left out"
            )
        return _png_records(source)

    @property
    def folders(self) -> list[Path]:
        """Those of the dataset that are read."""
        return [self._maps, *([] if self._classes is None else [self._classes])]

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        found = _read_ids(record.content, size, self._colors)
        ids, objects = found.ids, found.present()
        if self._classes is not None:
            classes = _read_ids(self._classes / record.content.name, size)
            labels = [_commonest(classes.ids[ids == one], classes.void) for one in objects]
        elif self._divisor is not None:
            objects = [one for one in objects if _is_numbered(one, self._divisor)]
            labels = [one // self._divisor for one in objects]
        else:
            labels = [1] * len(objects)
        return _checked(record, ids, objects, labels)

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        return SizeEvidence(map_sizes(record.content))


class CupsReader(MaskReader):
    """CUPS: ``<name>_semantic.png`` and ``<name>_instance.png``, a pair for each image.

    One mask for each object of the instance map, where 0 is none; its label is the commonest of the
    pseudo classes in it, which count from 0. Whether CUPS takes a class for things is not in the
    maps. CUPS works on images that are scaled down (Cityscapes to 640x1280): maps of the image's
    shape but another size are brought to it, pixel by nearest pixel. Its maps of KITTI are also
    cropped, by amounts that they do not state, and only fit images cropped likewise. See
    ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the folder holds files ``..._instance.png``."""
        return any(name.endswith(_INSTANCE) for name in source.files(".png"))

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        names = set(source.files(".png"))
        stems = {
            name.removesuffix(ending)
            for name in names
            for ending in (_SEMANTIC, _INSTANCE)
            if name.endswith(ending)
        }
        if not stems:
            raise ValueError(f"{source.path}: no files *{_SEMANTIC} and *{_INSTANCE} in it")
        records = []
        for stem in sorted(stems):
            missing = [stem + end for end in (_SEMANTIC, _INSTANCE) if stem + end not in names]
            bad = f"{source.path / missing[0]}: no such file" if missing else None
            records.append(MaskRecord(stem, None, source.path / stem, bad))
        return records

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        stem: Path = record.content
        kinds = _read_ids(stem.with_name(stem.name + _SEMANTIC))
        semantic, instance = kinds.ids, _read_ids(stem.with_name(stem.name + _INSTANCE)).ids
        (height, width), own = size, instance.shape
        if semantic.shape != own or own[0] * width != own[1] * height:
            raise BadMaskError(
                f"{stem}: the instance map is {own} (H, W), the semantic one {semantic.shape}, and "
                f"the image {size}: both must have the image's shape"
            )
        rows = (2 * np.arange(height) + 1) * own[0] // (2 * height)
        columns = (2 * np.arange(width) + 1) * own[1] // (2 * width)
        values = [value for value in ids_in(instance) if value]
        labels = [_commonest(semantic[instance == value], kinds.void) for value in values]
        return _checked(record, instance[rows[:, None], columns], values, labels)

    def _evidence(self, record: MaskRecord) -> SizeEvidence:
        stem: Path = record.content
        maps = (stem.with_name(stem.name + ending) for ending in (_SEMANTIC, _INSTANCE))
        return SizeEvidence(map_sizes(*maps), scaled=True)


def is_voc_folder(source: MaskSource) -> bool:
    """Whether names say that this is VOC's: the folder of the dataset, its objects or classes."""
    names = (source.path.name, *source.folders())
    return source.is_folder and (_OBJECT_FOLDER in names or source.path.name == _CLASS_FOLDER)


def _read_ids(path: Path, size: tuple[int, int] | None = None, colors: str = "auto") -> IdMap:
    with as_bad_masks():
        return read_id_map(path, size, colors)


def _is_numbered(value: int, divisor: int) -> bool:
    """Whether an id class * divisor + number has a number: KITTI's count from 1."""
    return value >= divisor and (divisor != 256 or value % divisor > 0)


def _commonest(classes: NDArray[Any], void: int | None) -> int:
    """The commonest of some pixels' classes; void only if there is no other."""
    known = classes[classes != void]
    values, counts = np.unique(known if known.size else classes, return_counts=True)
    return int(values[counts.argmax()])


def _checked(
    record: MaskRecord, ids: NDArray[Any], values: list[int], labels: list[int]
) -> InstanceMasks:
    try:
        return masks_of_ids(ids, values, labels)
    except ValueError as error:
        raise BadMaskError(f"{record.content}: {error}") from error


def _png_records(source: MaskSource) -> list[MaskRecord]:
    names = source.files(".png")
    if not names:
        raise ValueError(f"{source.path}: there is no PNG file in it")
    return [MaskRecord(Path(name).stem, None, source.path / name) for name in names]


def _sample(source: MaskSource) -> list[IdMap]:
    """Some of a folder's id maps, those that can be read; none of CUPS's."""
    names = source.files(".png")
    if any(name.endswith((_SEMANTIC, _INSTANCE)) for name in names):
        return []
    maps = []
    for name in some_of(names):
        try:
            maps.append(read_id_map(source.path / name))
        except (ValueError, OSError):  # reading it says so
            continue
    return maps
