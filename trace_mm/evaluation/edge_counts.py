"""Counts of matching edge pixels in one image, what scores are made from. Arrays in, counts out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trace_mm.ops.matching import candidate_graph, maximum_matching, stack_graphs
from trace_mm.ops.matching_sizes import matching_sizes
from trace_mm.ops.packed_thinning import pack_levels, thin_packed, unpack
from trace_mm.ops.thinning import suppress_non_maxima, thin

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Candidate pairs that are matched in one go, if a threshold has not more of them by itself: many
# enough for whole arrays to pay, few enough for a processor's cache.
_PAIRS_PER_BATCH = 1 << 18


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

    Examples:
        >>> import numpy as np
        >>> from trace_mm.evaluation import summarize
        >>> true = np.zeros((1, 40, 60), dtype=bool)
        >>> true[0, 20, 10:50] = True
        >>> counts = count_edges(true[0].astype(np.float32), true)
        >>> round(summarize([counts]).ods, 2)
        1.0
    """
    settings = settings or CountingSettings()
    edges, targets = np.asarray(edges, dtype=np.float32), np.asarray(targets) != 0
    _check_maps(edges, targets)
    if settings.suppress:
        floor = float(settings.levels[0])
        edges = suppress_non_maxima(
            edges, smooth=settings.smooth, border=settings.border, floor=floor
        )
    skeletons = _thin_at(edges, settings.levels)
    target_skeletons = np.stack([thin(target) for target in targets])
    diagonal = float(np.hypot(*edges.shape))
    counts = np.array(
        [
            _counts_within(tolerance * diagonal, skeletons, targets, target_skeletons)
            for tolerance in settings.tolerances
        ]
    )  # (K, 4, T)
    return ImageCounts(
        predictions=np.count_nonzero(skeletons.masks, axis=0),
        matched_predictions=counts[:, 0],
        targets=int(np.count_nonzero(targets)),
        matched_targets=counts[:, 1],
        near_predictions=counts[:, 2],
        target_skeleton=int(np.count_nonzero(target_skeletons)),
        near_target_skeleton=counts[:, 3],
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


@dataclass(frozen=True)
class _Skeletons:
    """The thinned pixels of T thresholds.

    Attributes:
        support: bool (H, W), the P pixels that are in any of them.
        words: uint64 (P, N), in which; see ``unpack``.
        masks: bool (P, T), the same.
    """

    support: np.ndarray
    words: np.ndarray
    masks: np.ndarray


def _thin_at(edges: np.ndarray, levels: np.ndarray) -> _Skeletons:
    """Skeletons of what reaches each of the levels (T,)."""
    pixels = np.flatnonzero(edges >= levels[0])
    reached = np.searchsorted(levels, edges.ravel()[pixels], side="right")
    words = thin_packed(pack_levels(reached, len(levels)), pixels, edges.shape)
    stays = words.any(axis=1)
    support = np.zeros(edges.shape, dtype=bool)
    support.ravel()[pixels[stays]] = True
    return _Skeletons(support, words[stays], unpack(words[stays], len(levels)))


def _counts_within(
    radius: float, skeletons: _Skeletons, targets: np.ndarray, target_skeletons: np.ndarray
) -> np.ndarray:
    """Matched and near predictions and targets of one radius in pixels.

    Returns:
        int64 (4, T): ``matched_predictions``, ``matched_targets``, ``near_predictions`` and
        ``near_target_skeleton`` of ``ImageCounts``.
    """
    graphs = [candidate_graph(skeletons.support, target, radius) for target in targets]
    near = np.any([np.diff(graph.indptr) > 0 for graph in graphs], axis=0)  # (P,)
    near_targets = np.zeros(skeletons.masks.shape[1], dtype=np.int64)
    for graph, target, thinned in zip(graphs, targets, target_skeletons, strict=True):
        on_skeleton = thinned[target]  # (targets,), by the graph's column
        near_targets += np.count_nonzero(_near_targets(graph, skeletons)[on_skeleton], axis=0)
    matches = _count_matches(graphs, skeletons.masks)
    return np.stack([*matches, np.count_nonzero(skeletons.masks[near], axis=0), near_targets])


def _near_targets(graph: "csr_array", skeletons: _Skeletons) -> np.ndarray:
    """Which true pixels are near a predicted one at each threshold: bool (targets, T)."""
    by_target = graph.tocsc()
    near = np.zeros((graph.shape[1], skeletons.words.shape[1]), dtype=np.uint64)
    some = np.flatnonzero(np.diff(by_target.indptr))
    if len(some):
        pairs = skeletons.words[by_target.indices]  # (pairs, N)
        near[some] = np.bitwise_or.reduceat(pairs, by_target.indptr[some], axis=0)
    return unpack(near, skeletons.masks.shape[1])


def _count_matches(graphs: "list[csr_array]", masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matched predictions and targets for the columns of masks (P, T), two int64 (T,).

    With one annotator they are equally many, whichever of the largest matchings is taken. With
    several it matters which predictions each of them is matched with, so that all are matched anew
    at each threshold.
    """
    if len(graphs) == 1:
        sizes = matching_sizes(graphs[0], masks)
        return sizes, sizes
    predictions, targets = (np.zeros(masks.shape[1], dtype=np.int64) for _ in range(2))
    graph = stack_graphs(graphs)  # (A * P, targets)
    changes = np.any(masks[:, 1:] != masks[:, :-1], axis=0)
    first = np.concatenate([[0], np.flatnonzero(changes) + 1])  # of thresholds with equal masks
    pairs = np.diff(graph.indptr).reshape(len(graphs), -1).sum(axis=0) @ masks[:, first]
    batches = np.flatnonzero(np.diff(pairs.cumsum() // _PAIRS_PER_BATCH)) + 1
    for batch in np.split(first, batches):
        chosen = [np.flatnonzero(np.tile(masks[:, t], len(graphs))) for t in batch]
        partner = maximum_matching(stack_graphs([graph[rows] for rows in chosen]))
        ends = np.cumsum([len(rows) for rows in chosen])
        for t, partners in zip(batch, np.split(partner, ends[:-1]), strict=True):
            matched = partners.reshape(len(graphs), -1) >= 0
            predictions[t] = np.count_nonzero(matched.any(axis=0))
            targets[t] = np.count_nonzero(matched)
    counted = first[np.cumsum(np.concatenate([[False], changes]))]
    return predictions[counted], targets[counted]
