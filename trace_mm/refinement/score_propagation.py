"""Score maps of classes, refined by instance edges and decided (Sec. 3.5, App. E.3)."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trace_mm.ops import walk_scores
from trace_mm.refinement.boundary_guided_propagation import check_range
from trace_mm.refinement.working_grid import resize_edges, working_grid
from trace_mm.registry import TASK_UTILS

SCORE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "nearest": {"radius": 5, "beta": 10, "steps": 64, "resolution": 256, "threshold": 0.2},
    "paper": {"radius": 5, "beta": 10, "steps": 256, "resolution": 4096, "threshold": 1},
}
"""Settings of :class:`ScorePropagation` by the name of a preset."""

RANGES: Mapping[str, tuple[float, float]] = {
    "radius": (1, 64),
    "beta": (1e-6, 1e6),
    "steps": (0, 10**6),
    "resolution": (8, 4096),
    "threshold": (0, 1),
}


@TASK_UTILS.register_module()
class ScorePropagation:
    """Lets the scores of each class spread inside instance edges, and takes the best class.

    What an open-vocabulary method is sure of in the middle of an object reaches the object's
    border, and no further: see :func:`trace_mm.ops.walk_scores`. Only classes that are the best
    somewhere in the image walk, since a mean of the others' scores is hardly ever the best.

    Args:
        preset: what the settings are that are not given: "nearest" was chosen on drawn
            scenes; "paper" is Eq. 11 at the image's size, and no more.
        radius: a step of the walk goes less than this many pixels of the working grid far.
        beta: exponent of the affinities: how much weak edges hold back.
        steps: length of the walk.
        resolution: longer side of the working grid in pixels; what is smaller keeps its size.
        threshold: pixels with an edge above it take what the nearest pixel without one has, in
            [0, 1]; what walks reach of them comes from both sides. 1 lets them be.
        background: a pixel whose best refined score is below it is background: it has the number 0,
            and classes count from 1. By default all classes have scores, background too if there is
            any.

    Raises:
        ValueError: if the preset is unknown or a number out of range.
    """

    def __init__(
        self,
        preset: Literal["nearest", "paper"] = "nearest",
        radius: int | None = None,
        beta: float | None = None,
        steps: int | None = None,
        resolution: int | None = None,
        threshold: float | None = None,
        background: float | None = None,
    ) -> None:
        if preset not in SCORE_PRESETS:
            known = ", ".join(SCORE_PRESETS)
            raise ValueError(f"preset must be one of {known}, got {preset!r}")
        given = {name: value for name, value in locals().items() if name in RANGES}
        values = dict(SCORE_PRESETS[preset])
        values |= {name: value for name, value in given.items() if value is not None}
        for name, (low, high) in RANGES.items():
            check_range(name, values[name], low, high)
        if background is not None:
            check_range("background", background, -1e30, 1e30)
        self.radius: int = values["radius"]
        self.beta: float = values["beta"]
        self.steps: int = values["steps"]
        self.resolution: int = values["resolution"]
        self.threshold: float = values["threshold"]
        self.background = background

    def settings(self) -> dict[str, float | None]:
        """All settings by name, those of the preset included."""
        return dict(vars(self))

    def __call__(
        self,
        scores: NDArray[np.float32],
        size: tuple[int, int],
        edges: NDArray[np.float32] | None = None,
    ) -> NDArray[np.int32]:
        """The class of each pixel of an image.

        Args:
            scores: float (C, h, w), at any resolution.
            size: (H, W) of the image.
            edges: (H, W) in [0, 1]; None decides scores as they are.

        Returns:
            int32 (H, W), the number of the best class; with ``background``, 0 or that plus one. Of
            equal scores the first counts.

        Raises:
            ValueError: if there are no scores, some are not finite, or the edges have another size.
        """
        if scores.ndim != 3 or not scores.size:
            raise ValueError(f"scores must be (C, h, w), got {scores.shape}")
        if not np.isfinite(scores).all():
            raise ValueError("scores must be finite")
        if edges is not None and edges.shape != size:
            raise ValueError(f"edges {edges.shape} are not of the image's size {size} (H, W)")
        given = torch.from_numpy(np.ascontiguousarray(scores, dtype=np.float32))
        if edges is None:
            return self._decided(given, np.arange(len(scores)), size)
        candidates = np.unique(given.argmax(0).numpy())  # (K,)
        refined = self._refined(given[torch.from_numpy(candidates)], size, edges)
        return self._decided(refined, candidates, size)

    def _refined(self, scores: Tensor, size: tuple[int, int], edges: NDArray[np.float32]) -> Tensor:
        """Scores (K, h', w') on the working grid after the walk."""
        grid = working_grid(size, self.resolution)
        lines = resize_edges(torch.from_numpy(np.ascontiguousarray(edges)).float(), grid)
        walked, _ = walk_scores(_resize(scores, grid), lines, self.radius, self.beta, self.steps)
        on_edge = (lines > self.threshold).numpy()  # (h', w')
        if not on_edge.any() or on_edge.all():
            return walked
        rows, columns = scipy.ndimage.distance_transform_edt(
            on_edge, return_distances=False, return_indices=True
        )
        return walked[:, torch.from_numpy(rows).long(), torch.from_numpy(columns).long()]

    def _decided(
        self, scores: Tensor, numbers: NDArray[np.int64], size: tuple[int, int]
    ) -> NDArray[np.int32]:
        """The number (H, W) of the best of scores (K, h, w), brought to the image's size."""
        best = np.full(size, -np.inf, dtype=np.float32)
        found = np.zeros(size, dtype=np.int32)
        for number, plane in zip(numbers.tolist(), scores, strict=True):  # one by one, for memory
            large = _resize(plane[None], size)[0].numpy()  # (H, W)
            better = large > best
            best[better], found[better] = large[better], number
        if self.background is None:
            return found
        return np.where(best < self.background, 0, found + 1).astype(np.int32)


def _resize(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores (K, h, w) at another size, bilinearly as methods enlarge theirs."""
    if scores.shape[1:] == size:
        return scores
    return functional.interpolate(scores[None], size, mode="bilinear")[0]
