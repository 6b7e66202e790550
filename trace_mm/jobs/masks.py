"""Masks of image files as a job: how an image becomes features and these its masks; the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.files import load_image
from trace_mm.files.coco_writer import write_coco
from trace_mm.files.file_state import file_state
from trace_mm.generators.backbones import Backbone
from trace_mm.generators.faults import images_fault
from trace_mm.generators.methods import Generator, find_masks
from trace_mm.jobs.mask_records import annotations_of, numbered_annotations
from trace_mm.lazy import lazy_module
from trace_mm.models.devices import device_kind
from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.journal import Journal
from trace_mm.runs.packed import Keys, PackedStrings
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy_module("torch")

_RESULTS = 1  # to be raised when the same settings no longer give the same masks
_CATEGORY = {"id": 1, "name": "object"}


class MaskJob:
    """Masks of images, as COCO instances.

    Args:
        images: name and path of each, by rising name.
        ids: of each image in the file.
        generator: what makes masks.
        out: COCO JSON file to write.
        places: where it writes and reads, ``out`` among them.
    """

    keeps_others = False

    def __init__(
        self,
        images: Sequence[tuple[str, Path]],
        ids: Sequence[int],
        generator: Generator,
        out: Path,
        places: Places,
    ) -> None:
        self.keys = Keys(name for name, _ in images)
        self._paths = PackedStrings(str(path) for _, path in images)
        self._ids, self._generator, self._out, self._places = ids, generator, out, places
        self._described = generator.describe()

    def places(self) -> Places:
        """The file, and the folder of what is known before it is written; see ``Job``."""
        return self._places

    def settings(self) -> dict[str, Any]:
        """What masks depend on; see ``Job``."""
        return {"results": _RESULTS, **self._described}

    def recipe(self) -> MaskRecipe:
        """How workers are made; see ``Job``."""
        return MaskRecipe(self._generator)

    def sink(self) -> FolderSink:
        """Masks are kept in the records; see ``Job``."""
        return FolderSink(self._places.top)

    def item(self, number: int, known: Record | None) -> Item | None:
        """An image, unless it is done and has not changed; see ``Job``."""
        path = Path(self._paths[number])
        state = file_state(path)
        done = known is not None and known.error is None and known.state == state
        return None if done else Item(self.keys[number], state, path)

    def conclude(self, journal: Journal) -> None:
        """Write the COCO file, images by rising id; see ``Job``."""
        write_coco(
            self._out,
            {"description": "trace_mm", **self._described},
            (_image(number, record) for number, record in self._done(journal)),
            numbered_annotations(self._done(journal)),
            [_CATEGORY],
        )

    def _done(self, journal: Journal) -> Iterator[tuple[int, Record]]:
        """Ids and records of the images that have not failed."""
        for number in sorted(range(len(self.keys)), key=self._ids.__getitem__):
            record = journal.record(number)
            if record is not None and record.error is None:
                yield self._ids[number], record


@dataclass(frozen=True)
class MaskRecipe:
    """How a worker is made; see ``Recipe``."""

    generator: Generator

    @property
    def overlaps(self) -> bool:
        """Whether features are computed on an accelerator."""
        return device_kind(self.generator.features.device) != "cpu"

    def worker(self, device: str | None) -> MaskWorker:
        """A worker with its backbone; see ``Recipe``."""
        features = self.generator.features
        loaded = (features if device is None else replace(features, device=device)).load()
        return MaskWorker(loaded, self.generator.method, self.generator.options)


@dataclass(frozen=True)
class _Loaded:
    """An image (3, H, W) in [0, 1] that is read."""

    item: Item
    image: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[1], self.image.shape[2]


class MaskWorker:
    """Reads images, computes features and cuts; see ``Worker``.

    Args:
        backbone: loaded.
        method: see :class:`Generator`, also for the next.
        options: likewise.
    """

    def __init__(self, backbone: Backbone, method: str, options: Any) -> None:
        self._backbone, self._method, self._options = backbone, method, options

    def load(self, item: Item) -> _Loaded:
        """Read an image."""
        with images_fault():
            return _Loaded(item, torch.from_numpy(load_image(item.data)).permute(2, 0, 1))

    def group(self, loaded: _Loaded) -> tuple[int, int]:
        """The size at which an image is shown to the backbone."""
        return self._backbone.working_size(loaded.size)

    def predict(self, batch: Sequence[_Loaded]) -> Sequence[Tensor]:
        """Features (h, w, C) of each image."""
        with images_fault():
            return list(self._backbone([loaded.image for loaded in batch]))

    def finish(self, loaded: _Loaded, predicted: Tensor) -> Finished:
        """Cut an image."""
        height, width = loaded.size
        with images_fault():
            found = find_masks(self._method, predicted, self._options, loaded.size)
        result = {"height": height, "width": width, "annotations": annotations_of(found)}
        return Finished(Record(loaded.item.key, loaded.item.state, result=result))


def _image(number: int, record: Record) -> Mapping[str, Any]:
    size = {side: record.result[side] for side in ("height", "width")}
    return {"id": number, "file_name": record.key, **size}
