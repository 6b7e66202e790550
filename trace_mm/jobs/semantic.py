"""Semantic maps of images: scores of classes are read, refined by edges, and decided."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.files import absolute_path, read_photo
from trace_mm.files.members import AnyFile
from trace_mm.files.palette import semantic_png
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, is_accelerated, placed
from trace_mm.jobs.mapped_images import MappedImagesJob
from trace_mm.jobs.panoptic_inputs import PanopticInputs
from trace_mm.jobs.places import output_path, semantic_places
from trace_mm.refinement.image_maps import ImageMaps
from trace_mm.refinement.score_maps import read_scores, score_evidence
from trace_mm.refinement.score_propagation import ScorePropagation
from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.journal import Journal
from trace_mm.runs.records import Record
from trace_mm.runs.threads import one_thread

UNSCORED = "there is no score map of it"
RESULTS = 1  # counted up when maps change though no setting has
_MOST_SHALLOW = 255  # classes whose ids fit beside void in 8 bits


@dataclass(frozen=True)
class SemanticTask:
    """What a worker needs of an image.

    Attributes:
        path: of the image.
        scores: its score map, if it has one.
    """

    path: AnyFile
    scores: AnyFile | None


@dataclass(frozen=True)
class _Loaded:
    """An image that is read and waits for edges; its scores (C, h, w), and how it was read."""

    item: Item
    image: NamedImage
    scores: NDArray[np.float32]
    notes: list[str]


class SemanticJob(MappedImagesJob[ImageMaps]):
    """A semantic map of each image that has scores.

    Args:
        inputs: the images and their score maps.
        out: folder to write.
        edges: where edges come from; None decides scores as they are.
        refiner: refines scores by edges, and decides.
    """

    def __init__(
        self,
        inputs: PanopticInputs[ImageMaps],
        out: Path,
        edges: EdgeSource | None,
        refiner: ScorePropagation,
    ) -> None:
        super().__init__(inputs, out, edges)
        self.refiner = refiner

    def places(self) -> Places:
        """The output folder; see ``Job``."""
        edges = () if self.edges is None else self.edges.folders()
        return semantic_places(self.inputs.root, self.inputs.semantic.folder, self.out, edges)

    def settings(self) -> dict[str, Any]:
        """Everything that maps depend on; see ``Job``."""
        return {
            "results": RESULTS,
            "scores": str(absolute_path(self.inputs.semantic.folder)),
            "edges": None if self.edges is None else self.edges.settings(),
            "refiner": {"type": type(self.refiner).__name__, **self.refiner.settings()},
        }

    def results(self, name: str) -> Sequence[str]:
        """The path of an image's map."""
        return [output_path("semantic", name)]

    def task(self, name: str, path: AnyFile, mapped: AnyFile | None) -> SemanticTask:
        """What a worker needs of an image."""
        return SemanticTask(path, mapped)

    def recipe(self) -> "SemanticRecipe":
        """How workers are made; see ``Job``."""
        return SemanticRecipe(self.edges, self.refiner)

    def conclude(self, journal: Journal) -> None:
        """Nothing: the maps are all there is; see ``Job``."""


@dataclass(frozen=True)
class SemanticRecipe:
    """How a worker is made; see ``Recipe``."""

    edges: EdgeSource | None
    refiner: ScorePropagation

    @property
    def overlaps(self) -> bool:
        """Whether edges are found on an accelerator."""
        return is_accelerated(self.edges)

    def worker(self, device: str | None) -> "SemanticWorker":
        """A worker; see ``Recipe``."""
        return SemanticWorker(replace(self, edges=placed(self.edges, device)))


class SemanticWorker:
    """Reads images and scores, finds edges, refines and decides; see ``Worker``."""

    def __init__(self, recipe: SemanticRecipe) -> None:
        self._edges, self._refiner = recipe.edges, recipe.refiner

    def load(self, item: Item) -> _Loaded | Finished:
        """Read an image, in the orientation that fits its scores, and these."""
        task: SemanticTask = item.data
        scores = task.scores
        if scores is None:
            return Finished(Record(item.key, item.state, notes=[UNSCORED]))
        photo = read_photo(task.path, lambda: score_evidence(scores))
        image = NamedImage(item.key, photo.pixels, photo.orientation)
        return _Loaded(item, image, read_scores(scores, photo.size), photo.notes)

    def group(self, loaded: _Loaded) -> None:
        """All images may be in one batch."""

    def predict(self, batch: Sequence[_Loaded]) -> Sequence[NDArray[np.float32] | None]:
        """Edges of images, if any are used."""
        if self._edges is None:
            return [None] * len(batch)
        return self._edges([loaded.image for loaded in batch])

    def finish(self, loaded: _Loaded, predicted: NDArray[np.float32] | None) -> Finished:
        """The semantic map of an image."""
        item, size = loaded.item, loaded.image.pixels.shape[:2]
        with one_thread():  # so that rounding is the same everywhere
            found = self._refiner(loaded.scores, (size[0], size[1]), predicted)
        classes = len(loaded.scores) + (self._refiner.background is not None)
        kind = np.uint8 if classes <= _MOST_SHALLOW else np.uint16
        files = {output_path("semantic", item.key): semantic_png(found.astype(kind))}
        return Finished(
            Record(item.key, item.state, result={"classes": classes}, notes=loaded.notes), files
        )
