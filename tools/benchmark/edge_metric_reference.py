"""The edge counts made plainly: each threshold's skeleton and matching by itself, nothing shared.

This is how they were made before they were made fast. The tests and ``edge_metric.py`` compare with
it; nothing else uses it, and it uses none of the package's numerics.
"""

import math
from functools import cache

import cv2
import numpy as np
from scipy.sparse import csr_array

from trace_mm.evaluation.edge_counts import CountingSettings, ImageCounts

_NEIGHBORS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
_PAIRS_PER_CHUNK = 1 << 21


def count_edges(
    edges: np.ndarray, targets: np.ndarray, settings: CountingSettings | None = None
) -> ImageCounts:
    """What ``trace_mm.evaluation.count_edges`` must give."""
    settings = settings or CountingSettings()
    edges, targets = np.asarray(edges, dtype=np.float32), np.asarray(targets) != 0
    if settings.suppress:
        edges = suppress_non_maxima(edges, settings.smooth, settings.border)
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


def _skeletons(level: np.ndarray, thresholds: int) -> list[np.ndarray]:
    """Thinned masks bool (H, W), one a threshold; the same object where the mask is the same."""
    skeletons: list[np.ndarray] = []
    sizes = [np.count_nonzero(level > t) for t in range(thresholds)]
    for t, size in enumerate(sizes):  # masks shrink as t rises, so equal sizes mean equal masks
        same = t > 0 and size == sizes[t - 1]
        skeletons.append(skeletons[-1] if same else thin(level > t))
    return skeletons


def _annotator_graph(support: np.ndarray, targets: np.ndarray, radius: float) -> csr_array:
    """Candidate pairs with all annotators: block-diagonal (A * P, T), T the sum over annotators."""
    graphs = [candidate_graph(support, target, radius) for target in targets]
    columns = [graph.shape[1] for graph in graphs]
    first_column = np.cumsum(columns) - columns
    pairs = [graph.nnz for graph in graphs]
    first_pair = np.cumsum(pairs) - pairs
    indices = [g.indices + start for g, start in zip(graphs, first_column, strict=True)]
    row_ends = [g.indptr[1:] + start for g, start in zip(graphs, first_pair, strict=True)]
    return csr_array(
        (
            np.concatenate([graph.data for graph in graphs]),
            np.concatenate(indices),
            np.concatenate([[0], *row_ends]),
        ),
        shape=(sum(graph.shape[0] for graph in graphs), sum(columns)),
    )


def _count_matches(
    graph: csr_array, selected: np.ndarray, annotators: int, on_skeleton: np.ndarray
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


def suppress_non_maxima(
    edges: np.ndarray, smooth: int, border: int, radius: int = 1, margin: float = 1.01
) -> np.ndarray:
    """Maxima of float32 (H, W) across the edge; see ``trace_mm.ops.suppress_non_maxima``."""
    if edges.size == 0:
        return edges.copy()
    edges = _triangle_filter(edges, smooth)
    angle = _normal_angle(edges)

    ys, xs = np.nonzero(edges)  # (n,), only these can survive
    values = edges[ys, xs]
    step_x, step_y = np.cos(angle[ys, xs]), np.sin(angle[ys, xs])
    survives = np.ones(len(values), dtype=bool)
    for distance in range(-radius, radius + 1):
        if distance:
            neighbor = _interpolate(edges, xs + distance * step_x, ys + distance * step_y)
            survives &= values * np.float32(margin) >= neighbor

    suppressed = np.zeros_like(edges)
    suppressed[ys[survives], xs[survives]] = values[survives]
    return suppressed * _border_fade(edges.shape, border)


def _triangle_filter(image: np.ndarray, radius: int) -> np.ndarray:
    """Convolve float32 (H, W) with a triangle of the given radius, mirrored at the rim."""
    if radius == 0:
        return image
    rise = np.arange(1, radius + 1, dtype=np.float32)
    kernel = np.concatenate([rise, [np.float32(radius + 1)], rise[::-1]]) / (radius + 1) ** 2
    pad = np.pad(
        image, radius, mode="symmetric"
    )  # OpenCV cannot mirror an image narrower than this
    filtered = cv2.sepFilter2D(pad, cv2.CV_32F, kernel, kernel)
    return filtered[radius:-radius, radius:-radius]


def _gradient(image: np.ndarray, axis: int) -> np.ndarray:
    if image.shape[axis] < 2:
        return np.zeros_like(image)
    return np.gradient(image, axis=axis)


def _normal_angle(edges: np.ndarray) -> np.ndarray:
    """Angle in [0, pi) across the edge at each pixel, 0 along x; (H, W) to (H, W).

    The protocol's formula, an approximation of the Hessian's principal axis that is exact along the
    axes and diagonals. Other than there, a vanishing mixed derivative counts as positive: otherwise
    a perfectly horizontal edge would be given the direction along itself.
    """
    blurred = _triangle_filter(edges, 4)
    along_x, along_y = _gradient(blurred, 1), _gradient(blurred, 0)
    xx, xy, yy = _gradient(along_x, 1), _gradient(along_x, 0), _gradient(along_y, 0)
    sign = np.where(xy > 0, np.float32(-1), np.float32(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arctan(yy * sign / (xx + np.float32(1e-5)))
    return np.mod(np.nan_to_num(angle), np.float32(np.pi))


def _interpolate(image: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Bilinear values of (H, W) at float positions (n,), which are clamped into the image."""
    height, width = image.shape
    xs, ys = np.clip(xs, 0, width - 1), np.clip(ys, 0, height - 1)
    x0, y0 = xs.astype(np.intp), ys.astype(np.intp)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    right, down = xs - x0, ys - y0
    top = image[y0, x0] * (1 - right) + image[y0, x1] * right
    bottom = image[y1, x0] * (1 - right) + image[y1, x1] * right
    return top * (1 - down) + bottom * down


def _border_fade(shape: tuple[int, ...], border: int) -> np.ndarray:
    """Factors (H, W) in [0, 1] that fall to 0 at the rim over at most half the image."""
    rows, columns = (_ramp(length, border) for length in shape)
    return np.outer(rows, columns)


def _ramp(length: int, border: int) -> np.ndarray:
    width = max(min(border, length // 2), 1)
    position = np.arange(length)
    from_rim = np.minimum(position, position[::-1])
    if border == 0 or length < 2:
        return np.ones(length, dtype=np.float32)
    return np.minimum(1.0, from_rim / width).astype(np.float32)


def thin(mask: np.ndarray) -> np.ndarray:
    """Lines one pixel wide, bool (H, W); see ``trace_mm.ops.thin``."""
    current = mask.astype(np.uint8)
    if current.size == 0:
        return current.astype(bool)
    kernel = _neighbor_kernel()
    changed = True
    while changed:
        changed = False
        for keep in _thinning_tables():
            code = cv2.filter2D(current, -1, kernel, borderType=cv2.BORDER_CONSTANT)
            survivors = current & cv2.LUT(code, keep)
            changed = changed or not np.array_equal(survivors, current)
            current = survivors
    return current.astype(bool)


@cache
def _neighbor_kernel() -> np.ndarray:
    kernel = np.zeros((3, 3), dtype=np.float32)
    for bit, (dy, dx) in enumerate(_NEIGHBORS):
        kernel[1 + dy, 1 + dx] = 2**bit
    return kernel


@cache
def _thinning_tables() -> tuple[np.ndarray, np.ndarray]:
    """For each neighbour code, 1 if the pixel stays: uint8 (256,) for either sub-iteration."""
    codes = np.arange(256)
    x = [(codes >> bit) & 1 for bit in range(8)]  # x[0] east, then against the clock
    crossings = sum((1 - x[i]) & (x[i + 1] | x[(i + 2) % 8]) for i in (0, 2, 4, 6))
    odd_pairs = sum(x[i] | x[i + 1] for i in (0, 2, 4, 6))
    even_pairs = sum(x[i + 1] | x[(i + 2) % 8] for i in (0, 2, 4, 6))
    pairs = np.minimum(odd_pairs, even_pairs)
    simple = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    first = simple & (((x[1] | x[2] | (1 - x[7])) & x[0]) == 0)
    second = simple & (((x[5] | x[6] | (1 - x[3])) & x[4]) == 0)
    return (~first).astype(np.uint8), (~second).astype(np.uint8)


def candidate_graph(prediction: np.ndarray, target: np.ndarray, max_distance: float) -> csr_array:
    """Pairs (P, T) at most ``max_distance`` pixels apart; see ``trace_mm.ops.candidate_graph``."""
    offsets, ranks = _offsets_within(max_distance, prediction.shape)
    reach = int(np.abs(offsets).max())
    padded_width = target.shape[1] + 2 * reach
    target_index = np.full(np.add(target.shape, 2 * reach), -1, dtype=np.int32)
    inner = target_index[reach : reach + target.shape[0], reach : reach + target.shape[1]]
    inner[target] = np.arange(np.count_nonzero(target))
    flat_index = target_index.ravel()

    ys, xs = np.nonzero(prediction)
    centers = (ys + reach) * padded_width + xs + reach  # (P,)
    steps = offsets[:, 0] * padded_width + offsets[:, 1]  # (K,), from near to far
    chunk = max(1, _PAIRS_PER_CHUNK // len(steps))
    columns, data, degrees = [], [], []
    for start in range(0, len(centers), chunk):
        candidates = flat_index[centers[start : start + chunk, None] + steps]  # (chunk, K)
        rows, offset_ids = np.nonzero(candidates >= 0)
        columns.append(candidates[rows, offset_ids])
        data.append(ranks[offset_ids])
        degrees.append(np.bincount(rows, minlength=len(candidates)))
    nothing = np.zeros(0, dtype=np.int32)
    row_ends = np.cumsum(np.concatenate([[0], *degrees]))
    return csr_array(
        (
            np.concatenate([nothing.astype(np.uint32), *data]),
            np.concatenate([nothing, *columns]),
            row_ends.astype(np.int32),
        ),
        shape=(len(centers), int(np.count_nonzero(target))),
    )


def maximum_matching(graph: csr_array) -> np.ndarray:
    """The column (P,) of each row, -1 for none; see ``trace_mm.ops.maximum_matching``."""
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


def _greedy_matching(graph: csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Pairs taken from near to far until no free row has a free column; (P,), (T,), -1 for free."""
    column_of = np.full(graph.shape[0], -1, dtype=np.int32)
    row_of = np.full(graph.shape[1], -1, dtype=np.int32)
    rows = np.repeat(np.arange(graph.shape[0], dtype=np.int32), np.diff(graph.indptr))
    order = np.argsort(graph.data, kind="stable")
    rows, columns = rows[order], graph.indices[order]  # (pairs,), from near to far
    bounds = np.flatnonzero(np.diff(graph.data[order])) + 1
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
    graph: csr_array, column_of: np.ndarray, row_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Grow disjoint alternating trees from all free rows, level by level.

    A tree stops when it reaches a free column. If no tree does, all that can be reached from a
    free row has been seen, so that the matching has the most pairs (Berge, 1957).

    Returns:
        The free columns reached, at most one a tree, and the row (T,) each column was reached from.
    """
    parent = np.full(graph.shape[1], -1, dtype=np.int32)
    done = np.zeros(graph.shape[0], dtype=bool)  # by the row at a tree's root
    degree = np.diff(graph.indptr)
    rows = np.flatnonzero((column_of < 0) & (degree > 0)).astype(np.int32)
    roots = rows
    ends = [np.zeros(0, dtype=np.int32)]
    while len(rows):
        counts = degree[rows]
        skip = np.cumsum(counts) - counts
        pairs = np.arange(counts.sum()) + np.repeat(graph.indptr[rows] - skip, counts)
        columns, from_row, from_root = (
            graph.indices[pairs],
            np.repeat(rows, counts),
            np.repeat(roots, counts),
        )
        new = parent[columns] < 0
        columns, from_row, from_root = columns[new], from_row[new], from_root[new]
        parent[columns[::-1]] = from_row[::-1]  # of several claims the first wins
        won = parent[columns] == from_row
        columns, from_root = columns[won], from_root[won]

        free = row_of[columns] < 0
        winners, first = np.unique(from_root[free], return_index=True)
        ends.append(columns[free][first])
        done[winners] = True
        growing = ~free & ~done[from_root]
        rows, roots = row_of[columns[growing]], from_root[growing]
    return np.concatenate(ends), parent


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
