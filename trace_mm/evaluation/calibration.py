"""Whether an edge of 0.7 is a border in 7 of 10 cases, and what makes it so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from trace_mm.ops.thinning import suppress_non_maxima

_LEAST = 1e-6  # of an edge and of its absence, whose logits would be infinite
_RIDGE = 1e-6  # on the Hessian: separable data have no finite fit
_STEPS = 100


@dataclass(frozen=True)
class Reliability:
    """What edges say and what is true of them, in bins of what they say.

    Attributes:
        said: float (n,), the mean edge of each bin that has pixels.
        true: float (n,), the share of its pixels that lie on a border.
        counts: int (n,), its pixels.
    """

    said: NDArray[np.float64]
    true: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |said - true| over pixels, in [0, 1]."""
        return float(np.average(np.abs(self.said - self.true), weights=self.counts))


def edge_evidence(
    edges: NDArray[np.float32], targets: NDArray[np.bool_], tolerance: float = 0.0075
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The edge pixels of an image, and which of them lie on a true border.

    Edge pixels are those that survive non-maximum suppression, so that a wide edge counts as often
    as a thin one. They lie on a border if a true edge of any annotator is within the tolerance.

    Args:
        edges: (H, W) in [0, 1].
        targets: (A, H, W), thin true edges of A annotators.
        tolerance: as a fraction of the image's diagonal.

    Returns:
        Values in (0, 1] and whether each is a border, both (n,).

    Raises:
        ValueError: if sizes differ.
    """
    if targets.ndim != 3 or targets.shape[1:] != edges.shape:
        raise ValueError(f"true edges are {targets.shape}, but the edge map is {edges.shape}")
    crests = suppress_non_maxima(np.asarray(edges, np.float32)) > 0  # (H, W)
    border = targets.any(axis=0)
    near = np.zeros_like(border)
    if border.any():
        radius = tolerance * float(np.hypot(*edges.shape))
        near = scipy.ndimage.distance_transform_edt(~border) <= radius
    crests &= edges > 0
    return edges[crests], near[crests]


def reliability(
    values: NDArray[np.float32], is_border: NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """The reliability of edges, in bins of equal width.

    Args:
        values: in [0, 1], (n,).
        is_border: (n,).
        bins: how many.

    Raises:
        ValueError: if there is no pixel.
    """
    if not len(values):
        raise ValueError("there is no edge pixel to look at")
    number = np.minimum((np.asarray(values, np.float64) * bins).astype(int), bins - 1)
    counts = np.bincount(number, minlength=bins)
    kept = counts > 0
    said = np.bincount(number, values, minlength=bins)[kept] / counts[kept]
    true = np.bincount(number, is_border, minlength=bins)[kept] / counts[kept]
    return Reliability(said, true, counts[kept])


def calibrated(values: NDArray[np.float32], scale: float, offset: float) -> NDArray[np.float32]:
    """Edges in [0, 1] of any shape as probabilities; what is exactly 0 stays 0."""
    said = np.asarray(values, np.float64).clip(_LEAST, 1 - _LEAST)
    found = scipy.special.expit(scale * np.log(said / (1 - said)) + offset)
    return np.where(np.asarray(values) > 0, found, 0).astype(np.float32)


def fit_calibration(
    values: Sequence[NDArray[np.float32]], is_border: Sequence[NDArray[np.bool_]]
) -> tuple[float, float]:
    """Scale and offset of the logits that make edges probabilities (Platt, 1999).

    They maximise the likelihood of ``is_border`` under sigmoid(scale * logit(value) + offset), by
    Newton's method. All groups, such as photos and scenes, count alike, however many pixels each
    has.

    Args:
        values: in [0, 1], (n_i,) of each group.
        is_border: (n_i,) of each group.

    Raises:
        ValueError: if there is no pixel, all or none are borders, or borders have no stronger edges
            than the rest, so that the scale would not be positive.
    """
    if not sum(map(len, values)):
        raise ValueError("there is no edge pixel to look at")
    weights = np.concatenate([np.full(len(group), 1 / max(len(group), 1)) for group in values])
    said = np.concatenate(values).astype(np.float64).clip(_LEAST, 1 - _LEAST)
    true = np.concatenate(is_border).astype(np.float64)
    if true.min() == true.max():
        raise ValueError("all edge pixels are borders, or none is: there is nothing to calibrate")
    features = np.stack([np.log(said / (1 - said)), np.ones_like(said)])  # (2, n)
    fit = np.zeros(2)
    for _ in range(_STEPS):
        found = scipy.special.expit(fit @ features)
        gradient = features @ (weights * (true - found))
        spread = weights * found * (1 - found)
        hessian = (features * spread) @ features.T + _RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        fit = fit + step
        if np.abs(step).max() < 1e-10:
            break
    if not fit[0] > 0:
        raise ValueError(f"borders have no stronger edges than the rest: scale {fit[0]:.3g}")
    return float(fit[0]), float(fit[1])
