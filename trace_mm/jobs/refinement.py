"""Another method's masks of a folder of images, refined one by one, and the file they become."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm import __version__
from trace_mm.files import absolute_path, distinct_stems, read_photo
from trace_mm.files.coco_writer import write_coco
from trace_mm.files.file_state import file_state
from trace_mm.files.fingerprints import fingerprint
from trace_mm.files.members import AnyFile, Member
from trace_mm.files.png import encode_png
from trace_mm.files.store_paths import unpacked_path
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, is_accelerated, placed
from trace_mm.jobs.mask_records import annotations_of, instances_of, numbered_annotations
from trace_mm.jobs.places import AnyPath, parts_folder, refinement_places
from trace_mm.jobs.refinement_inputs import RefinementInputs
from trace_mm.jobs.refinement_summary import Tally, is_refined
from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks
from trace_mm.refinement.readers import BadMaskError, MaskReader, MaskRecord
from trace_mm.runs.job import Finished, Item, Places, UnusableError
from trace_mm.runs.journal import Journal
from trace_mm.runs.packed import PackedStrings
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink
from trace_mm.runs.threads import one_thread
from trace_mm.visualization import draw_refinement

RESULTS = 1  # to be raised when the same settings no longer give the same masks


@dataclass(frozen=True)
class RefinementTask:
    """What a worker needs of an image.

    Attributes:
        path: of the image, or its content.
        masks: where its masks are.
        picture: where its picture goes; None for none.
        refined: the record of an earlier run, if only the picture is missing.
        edges: its edge map, where that comes along.
    """

    path: AnyFile
    masks: MaskRecord
    picture: str | None = None
    refined: Record | None = None
    edges: Member | None = None


@dataclass(frozen=True)
class _Loaded:
    """An image with its masks, waiting for edges."""

    task: RefinementTask
    record: Record
    image: NamedImage
    instances: InstanceMasks


@dataclass(frozen=True)
class _Refined:
    """Refined masks (G, H, W), none of them empty, and the source masks of each."""

    instances: InstanceMasks
    sources: tuple[tuple[int, ...], ...]


class RefinementJob:
    """Refined masks of images as COCO instances, and pictures of them.

    Args:
        reader: of the masks.
        inputs: the images and their masks.
        images: folder of the images, local or of a store.
        out: COCO JSON file to write.
        edges: where edges come from. For workers in other processes it must be possible to pickle
            it; it may have ``on`` and ``uses_accelerator``, as
            :class:`trace_mm.jobs.edge_sources.EdgeModel`.
        refiner: what refines.
        annotations: a COCO file that the ids of images were read from; None for none.
        skip_bad: leave bad masks out, and note them; else the first is an error that ends the run.
        show_dir: folder of pictures; None for none.
    """

    keeps_others = False

    def __init__(
        self,
        reader: MaskReader,
        inputs: RefinementInputs,
        images: AnyPath,
        out: Path,
        edges: EdgeSource,
        refiner: BoundaryGuidedPropagation,
        *,
        annotations: Path | None = None,
        skip_bad: bool = False,
        show_dir: Path | None = None,
    ) -> None:
        self.keys, self.out = inputs.keys, out
        self._reader, self._inputs, self._images = reader, inputs, images
        self._edges, self._refiner, self._annotations = edges, refiner, annotations
        self._skip_bad, self._show_dir = skip_bad, show_dir
        self._pictures: PackedStrings | None = None
        if show_dir is not None:
            stems = distinct_stems(inputs.names())
            self._pictures = PackedStrings(f"{stems.get(key, '')}.png" for key in self.keys)

    def places(self) -> Places:
        """The file, the pictures, and the folder of what is known before it is written."""
        places = refinement_places(
            self._reader.path,
            self._images,
            self.out,
            edges=self._edges.folders(),
            annotations=self._annotations,
            show_dir=self._show_dir,
        )
        folder = self._show_dir or Path()
        named = (folder / picture for picture in self._pictures or ())
        return replace(places, read=[*places.read, *self._reader.folders], named=named)

    def settings(self) -> dict[str, Any]:
        """What refined masks depend on; see ``Job``. Pictures may be added later."""
        masks, notes = self._reader.path, self._annotations
        return {
            "results": RESULTS,
            "masks": {"path": str(absolute_path(masks)), "content": fingerprint(masks)},
            "format": type(self._reader).__name__,
            "crowds": self._reader.crowds,
            "annotations": None if notes is None else fingerprint(notes),
            "edges": self._edges.settings(),
            "refiner": {"type": type(self._refiner).__name__, **self._refiner.settings()},
        }

    def recipe(self) -> "RefinementRecipe":
        """How workers are made; see ``Job``."""
        return RefinementRecipe(self._reader, self._edges, self._refiner, self._skip_bad)

    def sink(self) -> FolderSink:
        """The folder of pictures; see ``Job``."""
        return FolderSink(self._show_dir or parts_folder(self.out))

    def item(self, number: int, known: Record | None) -> Item | None:
        """An image with its masks, unless it is done; see ``Job``."""
        key, masks = self.keys[number], self._inputs.records[number]
        if isinstance(masks, str):
            state: dict[str, Any] = {"missing": masks}
            same = known is not None and known.error is None and known.state == state
            return None if same else Item(key, state, masks)
        path = unpacked_path(self._inputs.paths[number])
        state = {**file_state(path), "edges": self._edges.state(key)}
        picture = None if self._pictures is None else self._pictures[number]
        if known is None or known.error is not None or known.state != state:
            return Item(key, state, RefinementTask(path, masks, picture))
        if known.notes and not self._skip_bad:
            return Item(key, state, RefinementTask(path, masks, picture))
        if picture is None or self._is_drawn(picture, known):
            return None
        return Item(key, state, RefinementTask(path, masks, picture, known))

    def conclude(self, journal: Journal) -> None:
        """Write the COCO file; see ``Job``.

        Raises:
            ValueError: if all masks were left out as bad; names the first that was.
        """
        tally = self.tally(journal)
        if tally.bad is not None and not tally.masks:
            raise ValueError(
                f"{self._reader.path}: all masks were left out as bad; the first: {tally.bad}"
            )
        settings = {name: value for name, value in journal.settings.items() if name != "results"}
        about = "instance masks refined by instance edges (trace_mm)"
        write_coco(
            self.out,
            {"description": about, "version": __version__, **settings},
            (_image(number, record) for number, record in self._refined(journal)),
            numbered_annotations(self._refined(journal)),
            categories_of(tally.labels, self._reader.categories),
        )

    def tally(self, journal: Journal) -> Tally:
        """What the records hold together."""
        tally = Tally()
        for record in journal.records():
            tally.add(record)
        return tally

    def _refined(self, journal: Journal) -> Iterator[tuple[int, Record]]:
        """Ids and records of the images that are done, by rising id."""
        ids, records = self._inputs.ids, self._inputs.records
        numbers = [number for number, one in enumerate(records) if isinstance(one, MaskRecord)]
        for number in sorted(numbers, key=ids.__getitem__):
            record = journal.record(number)
            if record is not None and is_refined(record):
                yield ids[number], record

    def _is_drawn(self, picture: str, known: Record) -> bool:
        path = (self._show_dir or Path()) / picture
        return path.is_file() and path.stat().st_size == known.outputs.get(picture)


@dataclass(frozen=True)
class RefinementRecipe:
    """How a worker is made; see ``Recipe``."""

    reader: MaskReader
    edges: EdgeSource
    refiner: BoundaryGuidedPropagation
    skip_bad: bool

    @property
    def overlaps(self) -> bool:
        """Whether edges are predicted on an accelerator."""
        return is_accelerated(self.edges)

    def worker(self, device: str | None) -> "RefinementWorker":
        """A worker; see ``Recipe``."""
        return RefinementWorker(replace(self, edges=placed(self.edges, device)))


class RefinementWorker:
    """Reads images and masks, finds edges, refines and draws; see ``Worker``."""

    def __init__(self, recipe: RefinementRecipe) -> None:
        self._reader, self._edges = recipe.reader, recipe.edges
        self._refiner, self._skip_bad = recipe.refiner, recipe.skip_bad

    def load(self, item: Item) -> "_Loaded | Finished":
        """Read an image, in the orientation that fits its masks, and these."""
        if isinstance(item.data, str):  # a record without an image
            return Finished(Record(item.key, item.state, notes=[item.data]))
        task: RefinementTask = item.data
        reader = copy.copy(self._reader)  # with notes of its own: what it finds is this image's
        reader.notes, notes = [], list[str]()

        def leave_out(bad: BadMaskError) -> None:
            notes.append(str(bad))

        try:
            photo = read_photo(task.path, lambda: reader.evidence(task.masks))
            instances = reader.read(task.masks, photo.size, leave_out if self._skip_bad else None)
        except BadMaskError as error:
            if self._skip_bad:
                raise
            raise UnusableError(str(error)) from error
        height, width = photo.size
        result = {"height": height, "width": width, "annotations": [], "told": reader.notes}
        record = Record(item.key, item.state, {}, result, notes, photo.notes)
        if not len(instances) and task.picture is None:
            return Finished(record)
        image = NamedImage(item.key, photo.pixels, photo.orientation, task.edges)
        return _Loaded(task, record, image, instances)

    def group(self, loaded: _Loaded) -> None:
        """All images may be in one batch."""

    def predict(self, batch: Sequence[_Loaded]) -> Sequence[NDArray[np.float32]]:
        """Edges of images."""
        return self._edges([loaded.image for loaded in batch])

    def finish(self, loaded: _Loaded, predicted: NDArray[np.float32]) -> Finished:
        """Refine an image's masks, unless that was done before, and draw them."""
        task, record = loaded.task, loaded.record
        if task.refined is not None:
            record = replace(task.refined, outputs={})
            refined = _decode(record, loaded.instances.size)
        else:
            refined = self._refine(loaded.instances, predicted)
            record = replace(record, result={**record.result, "annotations": _encode(refined)})
        if task.picture is None:
            return Finished(record)
        return Finished(record, {task.picture: _draw(loaded, predicted, refined)})

    def _refine(self, instances: InstanceMasks, edges: NDArray[np.float32]) -> _Refined:
        with one_thread():
            refined = self._refiner(instances, edges)
        kept = [index for index, mask in enumerate(refined.instances.masks) if mask.any()]
        return _Refined(
            refined.instances.select(kept), tuple(refined.sources[index] for index in kept)
        )


def _encode(refined: _Refined) -> list[dict[str, Any]]:
    """COCO annotations without ids, as they stand in records."""
    return [
        {**annotation, "source_masks": list(sources)}
        for annotation, sources in zip(
            annotations_of(refined.instances), refined.sources, strict=True
        )
    ]


def _decode(record: Record, size: tuple[int, int]) -> _Refined:
    """What a record holds, at its image's size (H, W)."""
    found = record.result["annotations"]
    return _Refined(instances_of(found, size), tuple(tuple(one["source_masks"]) for one in found))


def _draw(loaded: _Loaded, edges: NDArray[np.float32], refined: _Refined) -> bytes:
    before, after = loaded.instances.masks, refined.instances.masks
    return encode_png(draw_refinement(loaded.image.pixels, before, edges, after, refined.sources))


def _image(number: int, record: Record) -> dict[str, Any]:
    size: dict[str, Any] = {side: record.result[side] for side in ("height", "width")}
    return {"id": number, "file_name": record.key, **size}


def categories_of(labels: Iterable[int], names: dict[int, str]) -> list[dict[str, Any]]:
    """A name for each label of the refined masks; those of the source where it has names."""
    labels = set(labels)
    default = "object" if labels <= {1} else "class {}"
    every = sorted(labels | {*names}) or [1]
    return [{"id": label, "name": names.get(label, default.format(label))} for label in every]
