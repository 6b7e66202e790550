"""From a photo to its masks: by what its edges enclose, or by a generator; refined if asked."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_mm.generators.backbones import Backbone
from trace_mm.generators.faults import images_fault
from trace_mm.generators.methods import Generator, find_masks
from trace_mm.jobs.edge_sources import EdgeSource, NamedImage, is_accelerated, placed
from trace_mm.lazy import lazy_module
from trace_mm.models.devices import device_kind
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.runs.threads import one_thread
from trace_mm.segments import EdgeSegments
from trace_mm.short_repr import ShortRepr

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_module("torch")


@dataclass(frozen=True, repr=False)
class PhotoMasks(ShortRepr):
    """What was found in a photo.

    Attributes:
        instances: masks (K, H, W) by falling score; labels are all 1.
        edges: float32 (H, W) in [0, 1]; None if the masks were made without.
    """

    instances: InstanceMasks
    edges: NDArray[np.float32] | None = None


@dataclass(frozen=True, repr=False)
class Reading(ShortRepr):
    """What models read out of a photo.

    Attributes:
        edges: float32 (H, W) in [0, 1], or None.
        features: (h, w, C), or None.
    """

    edges: NDArray[np.float32] | None = None
    features: torch.Tensor | None = None


class PhotoSegmenter:
    """Finds the masks of photos; models are loaded at their first use, and kept.

    It can be pickled for other processes, which load models of their own.

    Args:
        finder: makes masks, of edges or of a backbone's features.
        edges: where edges come from; needed by ``EdgeSegments`` and for refinement.
        refiner: what refines masks by edges; None for nothing.
        top: the most masks of a photo.
        min_score: masks with lower scores are left out.

    Raises:
        ValueError: if edges are needed and there are none, or are there and not needed, or a number
            is out of range.
    """

    def __init__(
        self,
        finder: EdgeSegments | Generator,
        edges: EdgeSource | None = None,
        refiner: BoundaryGuidedPropagation | None = None,
        *,
        top: int = 100,
        min_score: float = 0.0,
    ) -> None:
        needed = isinstance(finder, EdgeSegments) or refiner is not None
        if needed != (edges is not None):
            raise ValueError("edges are needed" if needed else "edges have no effect")
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        if not 0 <= min_score <= 1:
            raise ValueError(f"the least score must lie in [0, 1], got {min_score}")
        self.finder, self.edges, self.refiner = finder, edges, refiner
        self.top, self.min_score = top, min_score
        self._backbone: Backbone | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_backbone": None}

    def settings(self) -> dict[str, Any]:
        """All that masks depend on, as JSON values; nothing is loaded."""
        finder, refiner = self.finder, self.refiner
        if isinstance(finder, EdgeSegments):
            described = {"method": "edges", **finder.settings()}
        else:
            described = finder.describe()
        return {
            "generator": described,
            "edges": None if self.edges is None else self.edges.settings(),
            "refiner": None
            if refiner is None
            else {"type": type(refiner).__name__, **refiner.settings()},
            "top": self.top,
            "min_score": self.min_score,
        }

    @property
    def uses_accelerator(self) -> bool:
        """Whether a model computes elsewhere than on the CPU."""
        finder = self.finder
        on_gpu = isinstance(finder, Generator) and device_kind(finder.features.device) != "cpu"
        return on_gpu or is_accelerated(self.edges)

    def on(self, device: str) -> PhotoSegmenter:
        """The same with models on another device, not loaded."""
        other = copy.copy(self)
        other._backbone, other.edges = None, placed(self.edges, device)
        if isinstance(self.finder, Generator):
            features = replace(self.finder.features, device=device)
            other.finder = replace(self.finder, features=features)
        return other

    def __call__(self, image: NamedImage) -> PhotoMasks:
        """The masks of a photo, and its edges.

        Raises:
            ValueError: if it has none, is too large for the memory, or a model is no edge model.
            FileNotFoundError: if a model is missing.
        """
        return self.masks(image, self.read([image])[0])

    def group(self, image: NamedImage) -> Hashable:
        """What photos that are read together must have in common."""
        if isinstance(self.finder, Generator):
            return self._loaded(self.finder).working_size(_size(image))
        return None

    def read(self, images: Sequence[NamedImage]) -> list[Reading]:
        """What models see in photos of one group; for a thread that overlaps with others."""
        edges = [None] * len(images) if self.edges is None else self.edges(images)
        if not isinstance(self.finder, Generator):
            return [Reading(one) for one in edges]
        tensors = [torch.from_numpy(image.pixels).permute(2, 0, 1) for image in images]
        with images_fault():
            features = self._loaded(self.finder)(tensors)
        return [Reading(*pair) for pair in zip(edges, features, strict=True)]

    def masks(self, image: NamedImage, reading: Reading) -> PhotoMasks:
        """The masks that follow from what was read; computes in one thread."""
        found = self._find(image, reading)
        if self.refiner is not None and reading.edges is not None and len(found):
            with one_thread():
                found = self.refiner(found, reading.edges).instances
        return PhotoMasks(best_masks(found, self.top, self.min_score), reading.edges)

    def _find(self, image: NamedImage, reading: Reading) -> InstanceMasks:
        if isinstance(self.finder, EdgeSegments):
            assert reading.edges is not None
            with one_thread():
                return self.finder(reading.edges)
        assert reading.features is not None
        with images_fault():
            return find_masks(
                self.finder.method, reading.features, self.finder.options, _size(image)
            )

    def _loaded(self, generator: Generator) -> Backbone:
        if self._backbone is None:
            self._backbone = generator.features.load()
        return self._backbone


def best_masks(found: InstanceMasks, top: int, min_score: float) -> InstanceMasks:
    """The ``top`` masks of the highest scores that hold a pixel and reach a score, by score.

    Of equal scores the first stays first.
    """
    scores = np.ones(len(found)) if found.scores is None else found.scores
    order = np.argsort(-scores, kind="stable")
    kept = [index for index in order if scores[index] >= min_score and found.masks[index].any()]
    return InstanceMasks(found.masks, found.labels, scores).select(kept[:top])


def _size(image: NamedImage) -> tuple[int, int]:
    return image.pixels.shape[0], image.pixels.shape[1]
