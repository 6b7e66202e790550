"""Counts of matching edge pixels in one image, what scores are made from. Arrays in, counts out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from trace_mm.ops.matching import candidate_graph, maximum_matching
from trace_mm.ops.thinning import suppress_non_maxima, thin

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class CountingSettings:
    """What the counts of an image depend on, apart from its maps.

    Attributes:
        tolerances: matching radii as fractions of the image's diagonal; scores are for the first,
            the others are for the curve over tolerance.
        thresholds: how many thresholds, evenly spaced inside (0, 1).
        smooth: radius in pixels of the triangle filter before non-maximum suppression.
        border: width in pixels of the rim where predictions fade out (``suppress_non_maxima``).
        suppress: False for maps that are thinned already: they are thresholded as they are.
    """

    tolerances: tuple[float, ...] = (0.0075,)
    thresholds: int = 99
    smooth: int = 1
    border: int = 5
    suppress: bool = True

    def __post_init__(self) -> None:
        if not self.tolerances or min(self.tolerances) < 0:
            raise ValueError(f"tolerances must be one or more fractions, got {self.tolerances}")
        if self.thresholds < 1:
            raise ValueError(f"at least one threshold is needed, got {self.thresholds}")

    @property
    def levels(self) -> np.ndarray:
        """The thresholds themselves, float32 (T,), rising."""
        return np.linspace(0, 1, self.thresholds + 2, dtype=np.float32)[1:-1]


@dataclass(frozen=True)
class ImageCounts:
    """Pixel counts of one image, for K tolerances and T thresholds.

    Attributes:
        predictions: int (T,), predicted edge pixels.
        matched_predictions: int (K, T), those that are matched with any annotator.
        targets: true edge pixels, summed over annotators.
        matched_targets: int (K, T), those that are matched, summed over annotators.
        near_predictions: int (K, T), predicted pixels with any true pixel within the tolerance.
        target_skeleton: pixels of the thinned true edges, summed over annotators.
        near_target_skeleton: int (K, T), those with any predicted pixel within the tolerance.
    """

    predictions: np.ndarray
    matched_predictions: np.ndarray
    targets: int
    matched_targets: np.ndarray
    near_predictions: np.ndarray
    target_skeleton: int
    near_target_skeleton: np.ndarray


def count_edges(
    edges: np.ndarray, targets: np.ndarray, settings: CountingSettings | None = None
) -> ImageCounts:
    """Count matches of one image's edges with its annotators' at every threshold and tolerance.

    Args:
        edges: soft edge map (H, W) in [0, 1].
        targets: bool (A, H, W), thin true edges of A annotators, A at least 1.
        settings: thresholds, tolerances and non-maximum suppression; None for the protocol's.

    Raises:
        ValueError: if the sizes differ, there is no annotator, or values leave [0, 1].
    """
    settings = settings or CountingSettings()
    edges, targets = np.asarray(edges, dtype=np.float32), np.asarray(targets) != 0
    _check_maps(edges, targets)
    if settings.suppress:
        edges = suppress_non_maxima(edges, smooth=settings.smooth, border=settings.border)
    # A pixel is an edge at thresholds 0 to level - 1.
    level = np.searchsorted(settings.levels, edges, side="right")  # (H, W)
    skeletons = _skeletons(level, settings.thresholds)
    skeleton_targets = np.stack([thin(target) for target in targets])

    shape = (len(settings.tolerances), settings.thresholds)
    matched_predictions, matched_targets, near_predictions, near_target_skeleton = (
        np.zeros(shape, dtype=np.int64) for _ in range(4)
    )
    diagonal = float(np.hypot(*edges.shape))
    for k, tolerance in enumerate(settings.tolerances):
        graph = _annotator_graph(level > 0, targets, tolerance * diagonal)
        on_skeleton = skeleton_targets[targets]  # (T,), by the graph's column
        counted: tuple[int, int, int, int] = (0, 0, 0, 0)
        for t, skeleton in enumerate(skeletons):
            if t == 0 or skeleton is not skeletons[t - 1]:
                counted = _count_matches(graph, skeleton[level > 0], len(targets), on_skeleton)
            (
                matched_predictions[k, t],
                matched_targets[k, t],
                near_predictions[k, t],
                near_target_skeleton[k, t],
            ) = counted
    return ImageCounts(
        predictions=np.array([np.count_nonzero(skeleton) for skeleton in skeletons]),
        matched_predictions=matched_predictions,
        targets=int(np.count_nonzero(targets)),
        matched_targets=matched_targets,
        near_predictions=near_predictions,
        target_skeleton=int(np.count_nonzero(skeleton_targets)),
        near_target_skeleton=near_target_skeleton,
    )


def _check_maps(edges: np.ndarray, targets: np.ndarray) -> None:
    if edges.ndim != 2:
        raise ValueError(f"an edge map has two dimensions, got shape {edges.shape}")
    if targets.ndim != 3 or len(targets) == 0:
        raise ValueError(f"true edges must be (annotators, H, W), got shape {targets.shape}")
    if targets.shape[1:] != edges.shape:
        raise ValueError(
            f"edge map is {edges.shape} (H, W), but true edges are {targets.shape[1:]}"
        )
    if edges.size and not (edges.min() >= 0 and edges.max() <= 1):
        raise ValueError(f"edge values must be in [0, 1], got {edges.min()} to {edges.max()}")


def _skeletons(level: np.ndarray, thresholds: int) -> list[np.ndarray]:
    """Thinned masks bool (H, W), one a threshold; the same object where the mask is the same."""
    skeletons: list[np.ndarray] = []
    sizes = [np.count_nonzero(level > t) for t in range(thresholds)]
    for t, size in enumerate(sizes):  # masks shrink as t rises, so equal sizes mean equal masks
        same = t > 0 and size == sizes[t - 1]
        skeletons.append(skeletons[-1] if same else thin(level > t))
    return skeletons


def _annotator_graph(support: np.ndarray, targets: np.ndarray, radius: float) -> "csr_array":
    """Candidate pairs with all annotators: block-diagonal (A * P, T), T the sum over annotators."""
    graphs = [candidate_graph(support, target, radius) for target in targets]
    columns = [graph.shape[1] for graph in graphs]
    first_column = np.cumsum(columns) - columns
    pairs = [graph.nnz for graph in graphs]
    first_pair = np.cumsum(pairs) - pairs
    indices = [g.indices + start for g, start in zip(graphs, first_column, strict=True)]
    row_ends = [g.indptr[1:] + start for g, start in zip(graphs, first_pair, strict=True)]
    return scipy.sparse.csr_array(
        (
            np.concatenate([graph.data for graph in graphs]),
            np.concatenate(indices),
            np.concatenate([[0], *row_ends]),
        ),
        shape=(sum(graph.shape[0] for graph in graphs), sum(columns)),
    )


def _count_matches(
    graph: "csr_array", selected: np.ndarray, annotators: int, on_skeleton: np.ndarray
) -> tuple[int, int, int, int]:
    """Matched and near counts of the ``selected`` (P,) predictions; see ``ImageCounts``."""
    chosen = graph[np.flatnonzero(np.tile(selected, annotators))]  # (A * n, T)
    partner = maximum_matching(chosen)
    matched = (partner >= 0).reshape(annotators, -1)  # (A, n)
    near = (np.diff(chosen.indptr) > 0).reshape(annotators, -1)
    touched = np.zeros(chosen.shape[1], dtype=bool)
    touched[chosen.indices] = True
    return (
        int(np.count_nonzero(matched.any(axis=0))),
        int(np.count_nonzero(matched)),
        int(np.count_nonzero(near.any(axis=0))),
        int(np.count_nonzero(touched & on_skeleton)),
    )
