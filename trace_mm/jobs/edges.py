"""Instance edges of image files into a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import decode_image, read_file
from trace_mm.files.edge_maps import read_edge_map
from trace_mm.files.file_state import file_state
from trace_mm.files.store_paths import FilePath, is_local, unpacked_path
from trace_mm.jobs.edge_files import (
    SAVE_KINDS,
    check_save_kinds,
    encode_result,
    encode_stored,
    result_paths,
    source_for,
)
from trace_mm.jobs.edge_sources import NamedImage, is_accelerated, placed
from trace_mm.jobs.places import edge_places
from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.journal import Journal
from trace_mm.runs.packed import Keys, PackedStrings, sorted_keys
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink

if TYPE_CHECKING:
    from trace_mm.structures import EdgeDataSample

Image = NDArray[np.float32]
Predict = Callable[[list[Image]], "Sequence[EdgeDataSample]"]


@dataclass(frozen=True)
class EdgeTask:
    """What a worker needs of an image.

    Attributes:
        image: its file, or that one's content.
        kinds: of results to write.
        record: of an earlier run, if its results still hold.
        stored: the result there is that the missing ones can be made of; else None.
    """

    image: FilePath | bytes
    kinds: tuple[str, ...]
    record: Record | None = None
    stored: Path | None = None


@dataclass(frozen=True)
class _Loaded:
    """An image that is read and waits for its edges."""

    item: Item
    state: dict[str, Any]
    image: Image


class EdgeJob:
    """Edges of image files, as PNG and in other kinds (see ``encode_result``).

    Args:
        files: name of the results and place of each image, as
            :func:`trace_mm.files.store_paths.packed_path` packs it, absolute if it is local; a name
            that repeats counts once.
        out: folder to write.
        predict: float32 (H, W, 3) RGB images in [0, 1] to their predictions; or what has ``on``,
            ``uses_accelerator`` and ``predict_named``, as
            :class:`trace_mm.jobs.edge_sources.ImagePredictions`. For workers in other processes it
            must be possible to pickle it.
        settings: what the predictions depend on, as JSON values.
        save: kinds of results.

    Raises:
        ValueError: if there is no such kind.
    """

    keeps_others = True

    def __init__(
        self,
        files: Iterable[tuple[str, str]],
        out: Path,
        predict: Predict,
        settings: dict[str, Any],
        save: Sequence[str] = ("png",),
    ) -> None:
        self.keys, self._paths = sorted_files(files)
        self.out, self.kinds = out, check_save_kinds(save)
        self._predict, self._settings = predict, settings

    def places(self) -> Places:
        """The folders of results; see ``Job``."""
        return edge_places((path for path in self._paths if is_local(path)), self.out)

    def settings(self) -> dict[str, Any]:
        """What predictions depend on; see ``Job``. More kinds of results may be added later."""
        return self._settings

    def recipe(self) -> EdgeRecipe:
        """How workers are made; see ``Job``."""
        return EdgeRecipe(self._predict)

    def sink(self) -> FolderSink:
        """The folder of results; see ``Job``."""
        return FolderSink(self.out)

    def item(self, number: int, known: Record | None) -> Item | Record | None:
        """An image, unless its results are there, and are its own; see ``Job``."""
        name, path = self.keys[number], unpacked_path(self._paths[number])
        now = {"path": str(path), **file_state(path)}
        if known is None:
            return Item(name, now, EdgeTask(path, self.kinds), str(path))
        paths = result_paths(name, SAVE_KINDS)
        before = [kind for kind in paths if paths[kind] in known.outputs]
        if known.error is not None or not _is_unchanged(known, now, path):
            if known.error is None and known.state["path"] != str(path):
                raise ValueError(
                    f"{self.out} holds the results of {known.state['path']} under the name "
                    f"{name!r}, those of {path} would replace them: choose another folder, or "
                    f"--overwrite to start anew"
                )
            kinds = tuple(kind for kind in paths if kind in {*self.kinds, *before})
            return Item(name, now, EdgeTask(path, kinds), str(path))
        there = [kind for kind in before if self._has(paths[kind], known)]
        missing = tuple(kind for kind in self.kinds if kind not in there)
        # Of a file that was only touched, or moved.
        seen = replace(known, state={**now, "sha256": known.state.get("sha256")})
        if not missing:
            return None if seen == known else seen
        kind = source_for(missing, there)
        stored = None if kind is None else self.out / paths[kind]
        return Item(name, now, EdgeTask(path, missing, seen, stored), str(path))

    def path(self, key: str) -> FilePath:
        """Where an image is, by the name of its results.

        Raises:
            KeyError: if there is none.
        """
        number = self.keys.find(key)
        if number is None:
            raise KeyError(key)
        return unpacked_path(self._paths[number])

    def conclude(self, journal: Journal) -> None:
        """Nothing: see ``Job``."""

    def _has(self, output: str, known: Record) -> bool:
        """Whether a result is there as it was recorded."""
        return file_state(self.out / output)["size"] == known.outputs[output]


@dataclass(frozen=True)
class EdgeRecipe:
    """How a worker is made; see ``Recipe``."""

    predict: Any

    @property
    def overlaps(self) -> bool:
        """Whether predictions are made on an accelerator."""
        return is_accelerated(self.predict)

    def worker(self, device: str | None) -> EdgeWorker:
        """A worker; see ``Recipe``."""
        return EdgeWorker(placed(self.predict, device))


class EdgeWorker:
    """Reads images, predicts and encodes; see ``Worker``."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict

    def load(self, item: Item) -> _Loaded | Finished:
        """Read an image; draw what can be drawn of stored edges."""
        task: EdgeTask = item.data
        data = task.image if isinstance(task.image, bytes) else read_file(task.image)
        state = {**item.state, "sha256": hashlib.sha256(data).hexdigest()}
        image = decode_image(data, item.label)
        if task.record is None or task.stored is None:
            return _Loaded(item, state, image)
        edges = read_edge_map(task.stored)
        paths = result_paths(item.key, task.kinds)
        files = {path: encode_stored(kind, edges, image) for kind, path in paths.items()}
        return Finished(replace(task.record, state=state), files)

    def group(self, loaded: _Loaded) -> None:
        """All images may be in one batch."""

    def predict(self, batch: Sequence[_Loaded]) -> Sequence[EdgeDataSample]:
        """Edges of images."""
        predict_named = getattr(self._predict, "predict_named", None)
        if predict_named is None:
            return self._predict([loaded.image for loaded in batch])
        found: Sequence[EdgeDataSample] = predict_named(
            [NamedImage(_named(loaded.item), loaded.image) for loaded in batch]
        )
        return found

    def finish(self, loaded: _Loaded, predicted: EdgeDataSample) -> Finished:
        """The files of an image."""
        task: EdgeTask = loaded.item.data
        paths = result_paths(loaded.item.key, task.kinds)
        files = {path: encode_result(kind, predicted, loaded.image) for kind, path in paths.items()}
        outputs = {} if task.record is None else task.record.outputs
        result = {"timestep": predicted.get("timestep")}
        return Finished(Record(loaded.item.key, loaded.state, outputs, result), files)


def _named(item: Item) -> str:
    """An image's name: that of its results, with the suffix of its file."""
    return item.key + PurePosixPath(item.label).suffix


def sorted_files(files: Iterable[tuple[str, str]]) -> tuple[Keys, PackedStrings]:
    """Names in their order, and where each is."""
    names, paths = PackedStrings(), PackedStrings()
    for name, path in files:
        names.append(name)
        paths.append(path)
    keys, places = sorted_keys(names)
    return keys, PackedStrings(paths[number] for number in places)


def _is_unchanged(known: Record, now: dict[str, Any], path: FilePath) -> bool:
    """Whether an image is the one that a record is of, or has its content."""
    if all(known.state.get(name) == value for name, value in now.items()):
        return True
    try:
        return hashlib.sha256(read_file(path)).hexdigest() == known.state.get("sha256")
    except (ValueError, OSError):
        return False
