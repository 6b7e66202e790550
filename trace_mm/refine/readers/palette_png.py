"""Readers of folders with an id map for each image: semantic masks, VOC's objects, CUPS."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.readers.base import (
    BadMaskError,
    MaskReader,
    MaskRecord,
    OnBad,
    masks_of_ids,
)
from trace_mm.refine.readers.id_maps import VOID, read_ids
from trace_mm.refine.readers.source import MaskSource, some_of
from trace_mm.registry import TASK_UTILS

_SEMANTIC, _INSTANCE = "_semantic.png", "_instance.png"
_OBJECT_FOLDER, _CLASS_FOLDER = "SegmentationObject", "SegmentationClass"


@TASK_UTILS.register_module()
class DhrReader(MaskReader):
    """DHR, MARS and other semantic masks: ``<stem>.png`` of class ids, 0 background, 255 void.

    One mask for each class of an image, with the class as its label; BGP splits it. Images without
    tags have no file. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the folder holds id maps, and these are not of objects; see ``VocReader``."""
        return bool(_sample(source)) and not VocReader.recognizes(source)

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        return _png_records(source)

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        ids = read_ids(record.content, size)
        classes = present_ids(ids)
        return _checked(record, ids, classes, classes)


@TASK_UTILS.register_module()
class VocReader(MaskReader):
    """VOC's ``SegmentationObject``: ``<stem>.png`` of object numbers, 0 background, 255 void.

    The folder may be that of the dataset, which has it as a subfolder. If ``SegmentationClass``
    stands beside it, labels are VOC's classes, else 1. See ``MaskReader``.
    """

    @classmethod
    def recognizes(cls, source: MaskSource) -> bool:
        """Whether the folder is called so, or holds maps that number 1, 2, ... without a gap."""
        if source.is_folder and _OBJECT_FOLDER in (source.path.name, *source.folders()):
            return True
        if source.path.name == _CLASS_FOLDER:
            return False
        maps = _sample(source)
        return bool(maps) and all(
            len(present) == max(present, default=0) for present in map(present_ids, maps)
        )

    def _index(self, source: MaskSource) -> list[MaskRecord]:
        if _OBJECT_FOLDER in source.folders():
            source = MaskSource(source.path / _OBJECT_FOLDER)
        self._maps = source.path
        classes = source.path.parent / _CLASS_FOLDER
        self._classes = classes if source.path.name == _OBJECT_FOLDER and classes.is_dir() else None
        return _png_records(source)

    @property
    def folders(self) -> list[Path]:
        """Those of the dataset that are read."""
        return [self._maps, *([] if self._classes is None else [self._classes])]

    def _read(
        self, record: MaskRecord, size: tuple[int, int], on_bad: OnBad | None
    ) -> InstanceMasks:
        ids = read_ids(record.content, size)
        objects = present_ids(ids)
        if self._classes is None:
            return _checked(record, ids, objects, [1] * len(objects))
        classes = read_ids(self._classes / record.content.name, size)
        return _checked(record, ids, objects, [_commonest(classes[ids == one]) for one in objects])


@TASK_UTILS.register_module()
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
        semantic = read_ids(stem.with_name(stem.name + _SEMANTIC))
        instance = read_ids(stem.with_name(stem.name + _INSTANCE))
        (height, width), own = size, instance.shape
        if semantic.shape != own or own[0] * width != own[1] * height:
            raise BadMaskError(
                f"{stem}: the instance map is {own} (H, W), the semantic one {semantic.shape}, and "
                f"the image {size}: both must have the image's shape"
            )
        rows = (2 * np.arange(height) + 1) * own[0] // (2 * height)
        columns = (2 * np.arange(width) + 1) * own[1] // (2 * width)
        values = np.unique(instance)
        values = values[values != 0]
        labels = [_commonest(semantic[instance == value]) for value in values]
        return _checked(record, instance[rows[:, None], columns], values, labels)


def present_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """The ids of a map, ascending, without background 0 and void 255."""
    values = np.unique(ids)
    return values[(values != 0) & (values != VOID)]


def _commonest(classes: NDArray[Any]) -> int:
    """The commonest of some pixels' classes; void only if there is no other."""
    known = classes[classes != VOID]
    values, counts = np.unique(known if known.size else classes, return_counts=True)
    return int(values[counts.argmax()])


def _checked(
    record: MaskRecord, ids: NDArray[Any], values: NDArray[Any], labels: Iterable[Any]
) -> InstanceMasks:
    try:
        return masks_of_ids(ids, values.tolist(), [int(label) for label in labels])
    except ValueError as error:
        raise BadMaskError(f"{record.content}: {error}") from error


def _png_records(source: MaskSource) -> list[MaskRecord]:
    names = source.files(".png")
    if not names:
        raise ValueError(f"{source.path}: there is no PNG file in it")
    return [MaskRecord(Path(name).stem, None, source.path / name) for name in names]


def _sample(source: MaskSource) -> list[NDArray[Any]]:
    """Some of a folder's id maps, those that can be read; none of CUPS's."""
    names = source.files(".png")
    if any(name.endswith((_SEMANTIC, _INSTANCE)) for name in names):
        return []
    maps = []
    for name in some_of(names):
        try:
            maps.append(read_ids(source.path / name))
        except BadMaskError:
            continue
    return maps
