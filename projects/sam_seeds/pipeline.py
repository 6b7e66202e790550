"""From an image to masks by way of seeds, and the runs that do so for a folder."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from projects.sam_seeds.overlaps import distinct, settle
from projects.sam_seeds.promptable import Answers, Promptable
from projects.sam_seeds.seeds import Prompting, Seeds, components
from projects.sam_seeds.sources import ClassMap, SeedSource
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, is_accelerated, placed
from trace_mm.jobs.panoptic import LoadedImage, PanopticJob, PanopticRecipe, PanopticWorker
from trace_mm.jobs.panoptic_inputs import PanopticInputs
from trace_mm.jobs.photo_masks import PhotoMasks
from trace_mm.panoptic import PanopticLabeler, PanopticLabels
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.runs.job import Finished
from trace_mm.runs.threads import one_thread

STUFF = ("map", "seeds", "none")
"""Where stuff comes from: the semantic map as it is, seeds as things do, or nowhere."""

Edges = NDArray[np.float32]


@dataclass(frozen=True)
class SeededMasks:
    """The masks of an image.

    Attributes:
        masks: bool (K, H, W); they may overlap.
        classes: int64 (K,), class numbers.
        scores: float64 (K,): the seed's times the answer's.
    """

    masks: NDArray[np.bool_]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Seeder:
    """Finds seeds, asks a promptable model about them, and keeps what it says.

    Attributes:
        source: of the seeds.
        prompting: how seeds become prompts.
        model: that is asked; None takes the seeds themselves for masks.
        stuff: of :data:`STUFF`.
        num_things: classes below it are things.
        least_share: see :func:`projects.sam_seeds.overlaps.settle`.
        min_area: likewise.
    """

    source: SeedSource
    prompting: Prompting
    model: Promptable | None
    stuff: str = "map"
    num_things: int = 1
    least_share: float = 0.5
    min_area: int = 16

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            ValueError: if they do not.
        """
        if self.stuff not in STUFF:
            raise ValueError(f"stuff comes from {', '.join(STUFF)}, got {self.stuff!r}")
        if not self.source.has_masks and "mask" in self.prompting.kinds:
            raise ValueError("seeds that are boxes give no mask prompts")
        if not 0 <= self.least_share <= 1 or self.min_area < 1:
            raise ValueError(
                f"the least share must lie in [0, 1] and the least area be at least 1, got "
                f"{self.least_share} and {self.min_area}"
            )

    @property
    def uses_accelerator(self) -> bool:
        """Whether a model computes elsewhere than on the CPU."""
        return is_accelerated(self.source) or is_accelerated(self.model)

    def on(self, device: str) -> "Seeder":
        """The same with models on another device, not loaded."""
        return replace(self, source=self.source.on(device), model=placed(self.model, device))

    def settings(self) -> dict[str, Any]:
        """What masks depend on, as JSON values."""
        prompting, model = self.prompting, self.model
        asked = None
        if model is not None:
            asked = {**vars(prompting), "kinds": sorted(prompting.kinds), **model.settings()}
        limits = {"least_share": self.least_share, "min_area": self.min_area}
        return {**self.source.settings(), "asked": asked, "stuff": self.stuff, **limits}

    def masks(
        self, image: NamedImage, classes: ClassMap | None, edges: Edges | None
    ) -> SeededMasks:
        """The masks of an image.

        Args:
            image: its pixels and name.
            classes: (H, W), class numbers, -1 void; None without semantic maps.
            edges: (H, W) in [0, 1], or None.

        Raises:
            ValueError: if this image cannot be worked on.
        """
        size = (image.pixels.shape[0], image.pixels.shape[1])
        with one_thread():  # so that rounding is the same everywhere
            seeds = self.source(image, classes, edges)
            if self.stuff == "seeds" and self.source.has_masks and classes is not None:
                seeds = _joined(seeds, self._stuff_seeds(classes))
            if self.model is None or not len(seeds):
                answers = Answers(seeds.shapes(size), np.ones(len(seeds)))
            else:
                prompts = self.prompting(seeds, size)
        if self.model is not None and len(seeds):
            answers = self.model(image, prompts)
        return SeededMasks(answers.masks, seeds.classes, seeds.scores * answers.scores)

    def labels(self, image: NamedImage, classes: ClassMap, edges: Edges | None) -> PanopticLabels:
        """The panoptic labels of an image; see :meth:`masks`."""
        found = self.masks(image, classes, edges)
        ground = classes if self.stuff == "map" else np.full_like(classes, -1)
        return settle(
            found.masks,
            found.classes,
            found.scores,
            self.num_things,
            ground,
            self.least_share,
            self.min_area,
        )

    def _stuff_seeds(self, classes: ClassMap) -> Seeds:
        present = [one for one in np.unique(classes).tolist() if one >= self.num_things]
        return components(classes, present, None, 1.0, self.min_area)


def _joined(first: Seeds, second: Seeds) -> Seeds:
    assert first.masks is not None and second.masks is not None
    return Seeds(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.classes, second.classes]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.masks, second.masks]),
    )


class SeedJob(PanopticJob):
    """A COCO panoptic dataset of seeds.

    Args:
        inputs: see :class:`trace_mm.jobs.panoptic.PanopticJob`, as for the next four.
        out: likewise.
        edges: likewise.
        labeler: likewise; makes seeds, if these are labels.
        seeder: makes masks of seeds.
        annotations: as of ``PanopticJob``.
    """

    def __init__(
        self,
        inputs: PanopticInputs,
        out: Path,
        edges: EdgeSource | None,
        labeler: PanopticLabeler,
        seeder: Seeder,
        annotations: str | Path | None = None,
    ) -> None:
        super().__init__(inputs, out, edges, labeler, annotations)
        self.seeder = seeder

    def settings(self) -> dict[str, Any]:
        """Those of labels, and of seeds; see ``Job``."""
        return {**super().settings(), "seeder": self.seeder.settings()}

    def recipe(self) -> "SeedRecipe":
        """How workers are made; see ``Job``."""
        return SeedRecipe(super().recipe(), self.seeder)


@dataclass(frozen=True)
class SeedRecipe:
    """How a worker is made; see ``Recipe``."""

    panoptic: PanopticRecipe
    seeder: Seeder

    @property
    def overlaps(self) -> bool:
        """Whether a model computes on an accelerator."""
        return self.panoptic.overlaps or self.seeder.uses_accelerator

    def worker(self, device: str | None) -> "SeedWorker":
        """A worker; see ``Recipe``."""
        edges = placed(self.panoptic.edges, device)
        return SeedWorker(replace(self.panoptic, edges=edges), placed(self.seeder, device))


_Labelled = tuple[Edges | None, PanopticLabels]


class SeedWorker(PanopticWorker):
    """Reads images and maps, finds edges and seeds, asks, and writes; see ``Worker``."""

    def __init__(self, recipe: PanopticRecipe, seeder: Seeder) -> None:
        super().__init__(recipe)
        self._seeder = seeder

    def predict(self, batch: Sequence[LoadedImage]) -> Sequence[_Labelled]:
        """Edges, if any are used, and labels of images."""
        edges = super().predict(batch)
        return [
            (lines, self._seeder.labels(one.image, one.classes, lines))
            for one, lines in zip(batch, edges, strict=True)
        ]

    def finish(self, loaded: LoadedImage, predicted: _Labelled) -> Finished:
        """The labels of an image, as files and annotations."""
        return self.finished(loaded, *predicted)


class SeedSegmenter:
    """Masks of photos without classes; stands where a ``PhotoSegmenter`` does.

    Args:
        seeder: makes masks of seeds.
        edges: where edges come from, if seeds need them.
        max_iou: of two masks whose IoU exceeds it, the one with the lower score is left out.
        top: the most masks of a photo.
    """

    def __init__(
        self, seeder: Seeder, edges: EdgeSource | None, max_iou: float = 0.7, top: int = 100
    ) -> None:
        self.seeder, self.edges, self.max_iou, self.top = seeder, edges, max_iou, top

    def settings(self) -> dict[str, Any]:
        """All that masks depend on, as JSON values."""
        edges = None if self.edges is None else self.edges.settings()
        limits = {"max_iou": self.max_iou, "top": self.top}
        return {"seeder": self.seeder.settings(), "edges": edges, **limits}

    @property
    def uses_accelerator(self) -> bool:
        """Whether a model computes elsewhere than on the CPU."""
        return is_accelerated(self.edges) or self.seeder.uses_accelerator

    def on(self, device: str) -> "SeedSegmenter":
        """The same with models on another device, not loaded."""
        other = copy.copy(self)
        other.edges, other.seeder = placed(self.edges, device), self.seeder.on(device)
        return other

    def group(self, image: NamedImage) -> None:
        """All photos may be in one batch."""

    def read(self, images: Sequence[NamedImage]) -> list[tuple[Edges | None, SeededMasks]]:
        """Edges and masks of photos."""
        edges = [None] * len(images) if self.edges is None else self.edges(images)
        return [
            (lines, self.seeder.masks(image, None, lines))
            for image, lines in zip(images, edges, strict=True)
        ]

    def masks(self, image: NamedImage, reading: tuple[Edges | None, SeededMasks]) -> PhotoMasks:
        """The best masks, by falling score."""
        edges, found = reading
        large = np.count_nonzero(found.masks, axis=(1, 2)) >= self.seeder.min_area
        kept = np.flatnonzero(large)
        best = kept[distinct(found.masks[kept], found.scores[kept], self.max_iou)][: self.top]
        ones = np.ones(len(best), dtype=np.int64)
        return PhotoMasks(InstanceMasks(found.masks[best], ones, found.scores[best]), edges)
