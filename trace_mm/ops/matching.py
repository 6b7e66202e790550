"""One-to-one matching of edge pixels within a radius, the core of edge scores."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Pixel pairs looked at in one go: bounds the workspace to a few dozen megabytes.
_PAIRS_PER_CHUNK = 1 << 21


def match_edges(
    prediction: npt.ArrayLike, target: npt.ArrayLike, max_distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Match predicted with true edge pixels one-to-one, as many as possible.

    The number of matched pixels is the exact maximum. BSDS's ``correspondPixels`` looks for the
    matching of least total distance among those, with a penalty for each unmatched pixel that is
    so high that the number of matches comes first; counts, and so precision and recall against one
    annotator, depend on that number only. *Which* pixels match matters where several annotators
    share a prediction: as there, predictions nearer to a target
    go first (see ``maximum_matching``).

    Args:
        prediction: bool (H, W), the predicted edge pixels, usually thinned.
        target: bool (H, W), the true edge pixels.
        max_distance: the largest distance in pixels between the centres of a pair, inclusive.

    Returns:
        bool (H, W) of matched predictions and bool (H, W) of matched targets, equally many.

    Raises:
        ValueError: if the shapes differ or are not (H, W), or the distance is negative.

    Examples:
        >>> import numpy as np
        >>> predicted, true = np.zeros((2, 3, 5), dtype=bool)
        >>> predicted[0] = true[1] = True  # a line, and one a pixel below
        >>> matched, found = match_edges(predicted, true, max_distance=1)
        >>> int(matched.sum()), int(found.sum())
        (5, 5)
    """
    predicted: np.ndarray = np.asarray(prediction) != 0
    true: np.ndarray = np.asarray(target) != 0
    graph = candidate_graph(predicted, true, max_distance)
    partner = maximum_matching(graph)  # (P,)
    matched = partner >= 0
    matched_prediction, matched_target = np.zeros_like(predicted), np.zeros_like(true)
    matched_prediction[predicted] = matched
    hits = np.zeros(graph.shape[1], dtype=bool)
    hits[partner[matched]] = True
    matched_target[true] = hits
    return matched_prediction, matched_target


def candidate_graph(prediction: np.ndarray, target: np.ndarray, max_distance: float) -> "csr_array":
    """All pairs of a predicted and a true edge pixel at most ``max_distance`` pixels apart.

    Args:
        prediction: bool (H, W).
        target: bool (H, W).
        max_distance: in pixels, inclusive.

    Returns:
        Sparse uint32 matrix (P, T): a row for each of P predicted, a column for each of T true
        pixels, both in row-major order. An entry is 1 + the rank of the pair's distance among the
        distances that a grid allows, so 1 for the same pixel. A row's entries go from near to far.

    Raises:
        ValueError: if the shapes differ or are not (H, W), or the distance is negative.
    """
    if prediction.ndim != 2 or prediction.shape != target.shape:
        raise ValueError(
            f"edge maps must be of one size (H, W), got {prediction.shape} and {target.shape}"
        )
    if not 0 <= max_distance < math.inf:
        raise ValueError(f"max_distance must be 0 or more pixels, got {max_distance}")
    offsets, ranks = _offsets_within(max_distance, prediction.shape)
    reach = int(np.abs(offsets).max())
    padded_width = target.shape[1] + 2 * reach
    predictions, targets = (int(np.count_nonzero(mask)) for mask in (prediction, target))
    row_index = np.full(np.add(target.shape, 2 * reach), -1, dtype=np.int32)
    inner = row_index[reach : reach + target.shape[0], reach : reach + target.shape[1]]
    inner[prediction] = np.arange(predictions)
    flat_index = row_index.ravel()

    ys, xs = np.nonzero(target)
    centers = (ys + reach) * padded_width + xs + reach  # (T,)
    steps = offsets[:, 0] * padded_width + offsets[:, 1]  # (K,), from near to far
    chunk = max(1, _PAIRS_PER_CHUNK // max(1, targets))
    rows, columns, counts = [], [], []
    for start in range(0, len(steps), chunk):
        candidates = flat_index[centers - steps[start : start + chunk, None]]  # (chunk, T)
        step_ids, column = np.nonzero(candidates >= 0)
        rows.append(candidates[step_ids, column])
        columns.append(column.astype(np.int32))
        counts.append(np.bincount(step_ids, minlength=len(candidates)))
    first_of_step = np.concatenate([[0], *counts]).cumsum()
    # Pairs from near to far are brought in the order of their rows, and stay from near to far.
    by_step = scipy.sparse.csr_array(
        (np.concatenate(columns), np.concatenate(rows), first_of_step.astype(np.int32)),
        shape=(len(steps), predictions),
    )
    by_row = by_step.tocsc()
    return scipy.sparse.csr_array(
        (ranks[by_row.indices], by_row.data, by_row.indptr),
        shape=(predictions, targets),
    )


def stack_graphs(graphs: "Sequence[csr_array]") -> "csr_array":
    """One graph of several that share neither rows nor columns, in their order (block-diagonal).

    The matching of the whole is that of each part, which is found faster together.
    """
    columns = np.array([graph.shape[1] for graph in graphs])
    pairs = np.array([graph.nnz for graph in graphs])
    first_column, first_pair = columns.cumsum() - columns, pairs.cumsum() - pairs
    indices = [g.indices + start for g, start in zip(graphs, first_column, strict=True)]
    row_ends = [g.indptr[1:] + start for g, start in zip(graphs, first_pair, strict=True)]
    return scipy.sparse.csr_array(
        (
            np.concatenate([graph.data for graph in graphs]),
            np.concatenate(indices).astype(np.int32),
            np.concatenate([[0], *row_ends]).astype(np.int32),
        ),
        shape=(sum(graph.shape[0] for graph in graphs), int(columns.sum())),
    )


def maximum_matching(graph: "csr_array") -> np.ndarray:
    """A one-to-one matching of rows to columns with the most pairs.

    Pairs are first taken greedily from near to far; then augmenting paths are searched from all
    free rows at once, breadth first, until there is none. An augmenting path re-pairs matched rows
    but never frees one, so the near rows stay matched. The result depends on the graph alone.

    SciPy's ``maximum_bipartite_matching`` would do, but as of 1.17 its depth-first search does not
    remember dead ends, and takes time exponential in the length of a path on common edge maps.

    Args:
        graph: (P, T) as ``candidate_graph`` makes it, or some rows of such a graph.

    Returns:
        int32 (P,): the column matched with each row, -1 for none.
    """
    column_of, row_of = _greedy_matching(graph)
    while True:
        ends, parent = _augmenting_forest(graph, column_of, row_of)
        if not len(ends):
            return column_of
        while len(ends):  # flip all paths, which are disjoint, a step at a time
            rows = parent[ends]
            previous = column_of[rows]
            column_of[rows], row_of[ends] = ends, rows
            ends = previous[previous >= 0]


def _greedy_matching(graph: "csr_array") -> tuple[np.ndarray, np.ndarray]:
    """Pairs taken from near to far until no free row has a free column; (P,), (T,), -1 for free."""
    column_of = np.full(graph.shape[0], -1, dtype=np.int32)
    row_of = np.full(graph.shape[1], -1, dtype=np.int32)
    rows = np.repeat(np.arange(graph.shape[0], dtype=np.int32), np.diff(graph.indptr))
    ranks = graph.data
    if len(ranks) and ranks.max() < 1 << 16:
        ranks = ranks.astype(np.uint16)  # numpy sorts them faster
    order = np.argsort(ranks, kind="stable")
    rows, columns = rows[order], graph.indices[order]  # (pairs,), from near to far
    bounds = np.flatnonzero(np.diff(ranks[order])) + 1
    for row, column in zip(np.split(rows, bounds), np.split(columns, bounds), strict=True):
        while True:
            free = (column_of[row] < 0) & (row_of[column] < 0)
            row, column = row[free], column[free]
            if not len(row):
                break
            # Of several claims the first wins; a pair is made if it wins both its row and column.
            column_of[row[::-1]], row_of[column[::-1]] = column[::-1], row[::-1]
            won = (column_of[row] == column) & (row_of[column] == row)
            column_of[row[~won]], row_of[column[~won]] = -1, -1
            column_of[row[won]], row_of[column[won]] = column[won], row[won]
    return column_of, row_of


def _augmenting_forest(
    graph: "csr_array", column_of: np.ndarray, row_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Grow disjoint alternating trees from all free rows, level by level.

    A tree stops when it reaches a free column. If no tree does, all that can be reached from a
    free row has been seen, so that the matching has the most pairs (Berge, 1957).

    Returns:
        The free columns reached, at most one a tree, and the row (T,) each column was reached from.
    """
    parent = np.full(graph.shape[1], -1, dtype=np.int32)
    end = np.full(graph.shape[0], -1, dtype=np.int32)  # by the row at a tree's root
    degree = np.diff(graph.indptr)
    rows = np.flatnonzero((column_of < 0) & (degree > 0)).astype(np.int32)
    roots = rows
    while len(rows):
        counts = degree[rows]
        skip = np.cumsum(counts) - counts
        claimant = np.repeat(np.arange(len(rows), dtype=np.int32), counts)  # (pairs,)
        columns = graph.indices[np.arange(len(claimant)) + (graph.indptr[rows] - skip)[claimant]]
        new = np.flatnonzero(parent[columns] < 0)
        columns, claimant = columns[new], claimant[new]
        from_row = rows[claimant]
        parent[columns[::-1]] = from_row[::-1]  # of several claims the first wins
        won = np.flatnonzero(parent[columns] == from_row)
        columns, from_root = columns[won], roots[claimant[won]]

        owners = row_of[columns]
        free = np.flatnonzero(owners < 0)[::-1]
        end[from_root[free]] = columns[free]  # the first, again
        growing = np.flatnonzero((owners >= 0) & (end[from_root] < 0))
        rows, roots = owners[growing], from_root[growing]
    return end[end >= 0], parent


def _offsets_within(max_distance: float, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Steps (dy, dx) no longer than ``max_distance``, from near to far, and 1 + each one's rank.

    Returns:
        int (K, 2) and uint32 (K,).
    """
    reach_y, reach_x = (min(math.floor(max_distance), length) for length in shape)
    dy, dx = np.mgrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1]
    squared = (dy**2 + dx**2).ravel()
    # The root is compared, not the square: a distance given as sqrt(2) must include the diagonal.
    inside = np.flatnonzero(np.sqrt(squared) <= max_distance)
    order = inside[np.argsort(squared[inside], kind="stable")]
    ranks = np.unique(squared[order], return_inverse=True)[1] + 1
    return np.stack([dy.ravel()[order], dx.ravel()[order]], axis=1), ranks.astype(np.uint32)
