"""Pseudo-panoptic labels of images: maps are read, things told apart by edges, files written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import absolute_path, read_photo
from trace_mm.files.fingerprints import fingerprint
from trace_mm.files.members import AnyFile, Member
from trace_mm.files.palette import semantic_png
from trace_mm.files.panoptic import panoptic_png
from trace_mm.files.png import encode_png
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, is_accelerated, placed
from trace_mm.jobs.mapped_images import MappedImagesJob
from trace_mm.jobs.panoptic_files import write_panoptic_files
from trace_mm.jobs.panoptic_inputs import PanopticInputs
from trace_mm.jobs.panoptic_summary import write_summary
from trace_mm.jobs.panoptic_tally import Tally
from trace_mm.jobs.places import AnyPath, output_path, panoptic_places
from trace_mm.panoptic import PanopticLabeler, PanopticLabels, SemanticMaps
from trace_mm.panoptic.annotations import class_map, segment_annotations
from trace_mm.panoptic.semantic_maps import SemanticMapReader
from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.journal import Journal
from trace_mm.runs.records import Record
from trace_mm.runs.threads import one_thread
from trace_mm.visualization.panoptic import draw_panoptic

PICTURES_SHOWN = 24  # in the summary
UNTAGGED = "there is no semantic map of it"
RESULTS = 1  # counted up when labels change though no setting has


@dataclass(frozen=True)
class PanopticTask:
    """What a worker needs of an image.

    Attributes:
        path: of the image, or its content.
        semantic: its map, if it has one.
        shown: whether its picture is in the summary.
        edges: its edge map, where that comes along.
    """

    path: AnyFile
    semantic: AnyFile | None
    shown: bool = False
    edges: Member | None = None


@dataclass(frozen=True)
class LoadedImage:
    """An image that is read and waits for edges.

    Attributes:
        item: the image's.
        image: its pixels.
        classes: class numbers (H, W), -1 where void.
        notes: how it was read.
    """

    item: Item
    image: NamedImage
    classes: NDArray[np.int32]
    notes: list[str]


class PanopticJob(MappedImagesJob[SemanticMaps]):
    """A COCO panoptic dataset of images, semantic maps and edges.

    Args:
        inputs: the images and their maps.
        out: folder to write.
        edges: where edges come from; None tells things apart by connected components alone. For
            workers in other processes it must be possible to pickle it; ``on(device)`` and
            ``uses_accelerator`` are used if it has them.
        labeler: makes segments of classes and edges.
        annotations: the COCO file that image ids are from, if any.

    Attributes:
        shown: names of the images whose pictures are in the summary.
        tally: what the labels are, once the run has concluded, in the process that leads.
    """

    def __init__(
        self,
        inputs: PanopticInputs[SemanticMaps],
        out: Path,
        edges: EdgeSource | None,
        labeler: PanopticLabeler,
        annotations: AnyPath | None = None,
    ) -> None:
        super().__init__(inputs, out, edges)
        self.labeler = labeler
        self.classes = inputs.semantic.reader.classes
        self.tally: Tally | None = None
        self._annotations = annotations
        self.shown = inputs.shown(PICTURES_SHOWN)

    def places(self) -> Places:
        """The output folder; see ``Job``."""
        edges = () if self.edges is None else self.edges.folders()
        return panoptic_places(
            self.inputs.root, self.inputs.semantic.folder, self.out, edges, [self._annotations]
        )

    def settings(self) -> dict[str, Any]:
        """Everything that labels depend on; see ``Job``."""
        listed = self._annotations
        return {
            "results": RESULTS,
            "semantic": str(absolute_path(self.inputs.semantic.folder)),
            "classes": self.classes.describe(),
            "annotations": None if listed is None else fingerprint(Path(listed)),
            "edges": None if self.edges is None else self.edges.settings(),
            "labeler": {"type": type(self.labeler).__name__, **self.labeler.settings()},
        }

    def results(self, name: str) -> Sequence[str]:
        """Paths of an image's files."""
        return label_paths(name, name in self.shown)

    def task(self, name: str, path: AnyFile, mapped: AnyFile | None) -> PanopticTask:
        """What a worker needs of an image."""
        return PanopticTask(path, mapped, name in self.shown)

    def recipe(self) -> "PanopticRecipe":
        """How workers are made; see ``Job``."""
        return PanopticRecipe(self.edges, self.labeler, self.inputs.semantic.reader)

    def conclude(self, journal: Journal) -> None:
        """Write the dataset's JSON files and the summary page; see ``Job``."""
        self.tally = self.count(journal)
        write_panoptic_files(self.out, journal, self.tally, self.inputs, journal.settings)
        write_summary(self.out, self.tally, self.classes, self.inputs.unused_maps, journal.settings)

    def count(self, journal: Journal) -> Tally:
        """What the labels are by the records of them."""
        return Tally(journal, shown=self.shown)


@dataclass(frozen=True)
class PanopticRecipe:
    """How a worker is made; see ``Recipe``."""

    edges: EdgeSource | None
    labeler: PanopticLabeler
    reader: SemanticMapReader

    @property
    def overlaps(self) -> bool:
        """Whether edges are found on an accelerator."""
        return is_accelerated(self.edges)

    def worker(self, device: str | None) -> "PanopticWorker":
        """A worker; see ``Recipe``."""
        return PanopticWorker(replace(self, edges=placed(self.edges, device)))


class PanopticWorker:
    """Reads images and maps, finds edges, labels and draws; see ``Worker``."""

    def __init__(self, recipe: PanopticRecipe) -> None:
        self._edges, self._labeler, self._reader = recipe.edges, recipe.labeler, recipe.reader

    def load(self, item: Item) -> LoadedImage | Finished:
        """Read an image, in the orientation that fits its map, and the map."""
        task: PanopticTask = item.data
        semantic = task.semantic
        if semantic is None:
            return Finished(Record(item.key, item.state, notes=[UNTAGGED]))
        photo = read_photo(task.path, lambda: self._reader.evidence(semantic))
        classes = self._reader.read(semantic, photo.size)
        image = NamedImage(item.key, photo.pixels, photo.orientation, task.edges)
        return LoadedImage(item, image, classes, photo.notes)

    def group(self, loaded: LoadedImage) -> None:
        """All images may be in one batch."""

    def predict(self, batch: Sequence[LoadedImage]) -> Sequence[NDArray[np.float32] | None]:
        """Edges of images, if any are used."""
        if self._edges is None:
            return [None] * len(batch)
        return self._edges([loaded.image for loaded in batch])

    def finish(self, loaded: LoadedImage, predicted: NDArray[np.float32] | None) -> Finished:
        """The labels of an image, as files and annotations."""
        with one_thread():  # so that rounding is the same everywhere
            labels = self._labeler(loaded.classes, self._reader.classes.num_things, predicted)
        return self.finished(loaded, predicted, labels)

    def finished(
        self, loaded: LoadedImage, edges: NDArray[np.float32] | None, labels: PanopticLabels
    ) -> Finished:
        """Labels that are found, as files and annotations, with a picture if it is shown."""
        item, classes = loaded.item, self._reader.classes
        annotations = segment_annotations(labels.ids, labels.classes, classes)
        semantic = classes.ids_of(class_map(labels.ids, labels.classes))  # (H, W)
        contents = [panoptic_png(labels.ids), semantic_png(semantic)]
        if item.data.shown:
            names = classes.names
            picture = draw_panoptic(
                loaded.image.pixels,
                loaded.classes,
                edges,
                labels.ids,
                class_names=names,
                segment_names=[names[number] for number in labels.classes.tolist()],
            )
            contents.append(encode_png(picture))
        files = dict(zip(label_paths(item.key, item.data.shown), contents, strict=True))
        height, width = labels.ids.shape
        result = {"height": height, "width": width, "annotations": annotations}
        return Finished(Record(item.key, item.state, result=result, notes=loaded.notes), files)


def label_paths(name: str, shown: bool) -> list[str]:
    """Paths of an image's files within the output folder; one more if it is shown."""
    folders = ("panoptic", "semantic", "pictures") if shown else ("panoptic", "semantic")
    return [output_path(folder, name) for folder in folders]
