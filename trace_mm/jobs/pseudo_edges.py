"""The teacher's edges of a dataset's images, into its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.datasets.image_references import ImageReference
from trace_mm.datasets.image_shards import ImageShards
from trace_mm.datasets.image_sources import ImageFolder
from trace_mm.datasets.pseudo_edge_cache import PseudoEdgeCache, encode_entry, entry_of
from trace_mm.datasets.unlabelled_dataset import UnlabelledImageDataset, resize_pixels
from trace_mm.files.addresses import local_path
from trace_mm.files.file_state import file_state
from trace_mm.jobs.edge_sources import EdgeModel, NamedImage, is_accelerated, placed
from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.journal import Journal
from trace_mm.runs.packed import PackedStrings, sorted_keys
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink

if TYPE_CHECKING:
    from torch import Tensor

Predict = Callable[["Sequence[Tensor]", Sequence[str]], "Sequence[Tensor]"]


@dataclass(frozen=True)
class _Loaded:
    """An image that waits for its edges.

    Attributes:
        record: what is known of it.
        entry: key of its entry.
        pixels: float32 (3, H, W) in [0, 1], as the model is shown it.
        name: of the image, by which it has a prompt.
    """

    record: Record
    entry: str
    pixels: Tensor
    name: str


class TeacherEntries:
    """What a teacher's predictions leave in the cache. It can be pickled.

    Args:
        teacher: not loaded before it is used.
    """

    def __init__(self, teacher: EdgeModel) -> None:
        self._teacher = teacher

    @property
    def uses_accelerator(self) -> bool:
        """Whether the teacher computes elsewhere than on the CPU."""
        return self._teacher.uses_accelerator

    def on(self, device: str) -> TeacherEntries:
        """The same on another device; see ``EdgeModel.on``."""
        return TeacherEntries(self._teacher.on(device))

    def __call__(self, images: Sequence[Tensor], names: Sequence[str]) -> list[Tensor]:
        """Entries (h, w) of images (3, H, W), which are called by these names."""
        has_prompts = dict(self._teacher.config.get("backbone") or {}).get("prompts") is not None
        # Of one name: but for its prompt, what is made of an image must not depend on its name.
        shown = [
            NamedImage(
                name if has_prompts else "image", image.permute(1, 2, 0).contiguous().numpy()
            )
            for image, name in zip(images, names, strict=True)
        ]
        return [entry_of(sample) for sample in self._teacher.predict(shown)]


class PseudoEdgeJob:
    """An entry for each image of a dataset, in the dataset's cache.

    An image is known by where it lies and the size at which it is shown. Its record holds the key
    of its entry, so that an image whose file has not changed is not read to find that its entry is
    there. Where the record is missing, it is read, and computed only if there is no entry.

    Args:
        dataset: with a cache, in a local folder.
        predict: float32 (3, H, W) images in [0, 1] and their names to their entries (h, w) in [0,
            1]. For workers
            in other processes it must be possible to pickle it; ``on(device)`` and
            ``uses_accelerator`` are used if it has them.

    Raises:
        ValueError: if the dataset has no cache, or one in a store.
    """

    keeps_others = True  # datasets share a cache

    def __init__(self, dataset: UnlabelledImageDataset, predict: Predict) -> None:
        if dataset.pseudo_edges is None:
            raise ValueError(
                "the dataset has no pseudo_edges=dict(folder=..., teacher=...) to fill"
            )
        self.cache, self._dataset, self._predict = dataset.pseudo_edges, dataset, predict
        self._folder = self.cache.folder
        shown = "" if dataset.size is None else f" {dataset.size[0]}x{dataset.size[1]}"
        numbers = range(len(dataset))
        self.keys, self._numbers = sorted_keys(
            PackedStrings(self._image(number).address + shown for number in numbers)
        )

    def places(self) -> Places:
        """The teacher's folder of the cache; see ``Job``."""
        sources = self._dataset.sources
        return Places(
            top=self._folder,
            others=[self._folder],
            cleared=[self._folder],
            read=_shards(sources),
            searched=[part.folder for part in sources if isinstance(part, ImageFolder)],
        )

    def settings(self) -> dict[str, Any]:
        """What decides the teacher's answer; see ``Job``."""
        return self.cache.settings

    def item(self, number: int, known: Record | None) -> Item | None:
        """An image, unless its entry is there, and it is as it was; see ``Job``."""
        image = self._image(self._numbers[number])
        state = {"image": image.state()}
        unchanged = known is not None and known.error is None and known.state == state
        if known is not None and unchanged and self.cache.has(known.result["entry"]):
            return None
        source, place = self._dataset.locate(self._numbers[number])
        return Item(self.keys[number], state, (image, source.name(place)), image.address)

    def recipe(self) -> PseudoEdgeRecipe:
        """How workers are made; see ``Job``."""
        return PseudoEdgeRecipe(self.cache, self._dataset.size, self._predict)

    def sink(self) -> FolderSink:
        """The teacher's folder of the cache; see ``Job``."""
        return FolderSink(self._folder)

    def conclude(self, journal: Journal) -> None:
        """Put down what the entries were made with; see ``Job``."""
        self.cache.write_settings()

    def _image(self, number: int) -> ImageReference:
        source, place = self._dataset.locate(number)
        return source.at(place)


@dataclass(frozen=True)
class PseudoEdgeRecipe:
    """How a worker is made; see ``Recipe``."""

    cache: PseudoEdgeCache
    size: tuple[int, int] | None
    predict: Any

    @property
    def overlaps(self) -> bool:
        """Whether edges are predicted on an accelerator."""
        return is_accelerated(self.predict)

    def worker(self, device: str | None) -> PseudoEdgeWorker:
        """A worker; see ``Recipe``."""
        return PseudoEdgeWorker(self.cache, self.size, placed(self.predict, device))


class PseudoEdgeWorker:
    """Reads images, predicts and encodes entries; see ``Worker``."""

    def __init__(
        self, cache: PseudoEdgeCache, size: tuple[int, int] | None, predict: Predict
    ) -> None:
        self._cache, self._size, self._predict = cache, size, predict

    def load(self, item: Item) -> _Loaded | Finished:
        """Read an image; it is finished if its entry is there."""
        reference, name = item.data
        image = reference.open()
        entry = self._cache.key(image.digest, self._size, name)
        record = Record(item.key, item.state, result={"entry": entry})
        if self._cache.has(entry):
            size = file_state(self._cache.path(entry))["size"]  # none if it is packed
            listed = {self._cache.name(entry): size} if size >= 0 else {}
            return Finished(replace(record, outputs=listed))
        return _Loaded(record, entry, resize_pixels(image.decode().pixels, self._size), name)

    def group(self, loaded: _Loaded) -> None:
        """All images may be in one batch."""

    def predict(self, batch: Sequence[_Loaded]) -> Sequence[Tensor]:
        """Entries of images."""
        pixels = [loaded.pixels for loaded in batch]
        return self._predict(pixels, [loaded.name for loaded in batch])

    def finish(self, loaded: _Loaded, predicted: Tensor) -> Finished:
        """The entry of an image as a file, which images of equal content share."""
        return Finished(loaded.record, {self._cache.name(loaded.entry): encode_entry(predicted)})


def _shards(sources: Sequence[Any]) -> list[Path]:
    """Local shards of images."""
    shards = [name for part in sources if isinstance(part, ImageShards) for name in part.shards]
    return [path for path in map(local_path, shards) if path is not None]
