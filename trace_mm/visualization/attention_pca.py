"""Self-attention as colours: what tokens attend to alike looks alike (paper Fig. 8)."""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

Grid = tuple[int, int]
_COMPONENTS = 3
_DENSE_LIMIT = 64  # up to this many tokens, a full decomposition is as fast
_NO_VARIANCE = 1e-9  # rounding
_SPREAD = 2.0  # standard deviations from the middle of a colour channel to its end


def attention_pca_colors(
    maps: Sequence[tuple[NDArray[np.float32], Grid]], reference: int = 0
) -> list[NDArray[np.uint8]]:
    """Colours of several attention maps of one image, comparable with each other.

    The rows of each map are centred and reduced to their three principal components, each scaled
    to unit variance. The reference's components get the sign with which their largest entry is
    positive. Those of every other map are turned by the rotation or reflection that brings them
    closest to the reference's (orthogonal Procrustes), so that a colour means the same in all.

    Args:
        maps: attention (N, N) and its grid (h, w), N = h * w, the same for all.
        reference: index of the map that the others are turned to.

    Returns:
        uint8 (h, w, 3) a map.

    Raises:
        ValueError: if a map does not fit its grid, or the grids differ.
        IndexError: if there is no such reference.
    """
    grids = {grid for _, grid in maps}
    if len(grids) > 1:
        raise ValueError(f"maps of one image must share a grid, got {sorted(grids)}")
    components = [_principal_components(attention, grid) for attention, grid in maps]
    target = _with_fixed_signs(components[reference])
    colors = []
    for values, (_, (height, width)) in zip(components, maps, strict=True):
        turned = values @ _procrustes(values, target)  # (N, 3)
        unit = np.clip(0.5 + turned / (2 * _SPREAD), 0, 1)
        colors.append(np.rint(unit * 255).astype(np.uint8).reshape(height, width, _COMPONENTS))
    return colors


def _principal_components(attention: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    """Scores (N, 3) of unit variance; components without variance are 0."""
    tokens = grid[0] * grid[1]
    if attention.shape != (tokens, tokens):
        raise ValueError(f"attention must be (h*w, h*w) for grid {grid}, got {attention.shape}")
    rows = attention.astype(np.float64)
    rows -= rows.mean(axis=0)
    if np.linalg.norm(rows) <= _NO_VARIANCE:
        return np.zeros((tokens, _COMPONENTS))
    if tokens <= _DENSE_LIMIT:
        left, strengths, _ = np.linalg.svd(rows)
        order = np.arange(min(_COMPONENTS, tokens))
    else:
        # A fixed start, since the solver's own is random.
        start = np.random.default_rng(0).standard_normal(tokens)
        left, strengths, _ = scipy.sparse.linalg.svds(rows, k=_COMPONENTS, v0=start)
        order = np.argsort(strengths)[::-1]
    scores = np.zeros((tokens, _COMPONENTS))
    scores[:, : len(order)] = left[:, order] * np.sqrt(tokens)
    scores[:, : len(order)][:, strengths[order] <= _NO_VARIANCE] = 0
    return scores


def _with_fixed_signs(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = scores[np.abs(scores).argmax(axis=0), np.arange(scores.shape[1])]
    return scores * np.where(largest < 0, -1.0, 1.0)


def _procrustes(scores: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthogonal matrix (3, 3) R that makes ||scores R - target|| smallest."""
    left, _, right = np.linalg.svd(scores.T @ target)
    rotation: NDArray[np.float64] = left @ right
    return rotation
