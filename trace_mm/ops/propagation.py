"""Masks that spread by a random walk until edges stop them (Eq. 11)."""

import math

import cv2
import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from trace_mm.ops.affinity import check_edges, random_walk_laplacian

_FAST_TOLERANCE, _EXACT_TOLERANCE = 1e-5, 1e-14
_LEAKAGE = 1e-3  # how likely a walk may cross an edge that counts as closed


def propagate_masks(
    masks: Tensor,
    edges: Tensor,
    radius: int = 5,
    beta: float = 10,
    steps: int = 256,
    exact: bool = False,
) -> Tensor:
    """Let masks spread inside the edges around them: T^steps (M * (1 - E)), Eq. 11.

    T is sparse, and similar to a symmetric matrix, so that its eigenvalues lie in [-1, 1]. There
    s^steps is a sum of Chebyshev polynomials whose weights fall off like a Gaussian of variance
    ``steps``: with 256 steps, 71 products of T and the masks stand for 256.

    Args:
        masks: (K, H, W), bool or in [0, 1].
        edges: (H, W) in [0, 1].
        radius: a step of the walk goes less than this many pixels far.
        beta: exponent of the affinities.
        steps: length of the walk, at least 0.
        exact: compute in float64 with all weights above 1e-14, with errors below 1e-9 instead of
            1e-4 (up to 10,000 steps). It takes about four times as long.

    Returns:
        (K, H, W) in [0, 1]: how likely a walk from a pixel ends in the mask. float32, or float64 if
        ``exact``.

    Raises:
        ValueError: if shapes, values or numbers do not fit.

    Examples:
        >>> import torch
        >>> mask, edges = torch.zeros(1, 9, 9), torch.zeros(9, 9)
        >>> mask[0, 4, 1], edges[:, 4] = 1, 1  # a pixel, and a wall beside it
        >>> spread = propagate_masks(mask, edges)[0]
        >>> bool(spread[4, 2] > 1000 * spread[4, 7])
        True
    """
    check_edges(edges)
    if masks.ndim != 3 or masks.shape[1:] != edges.shape:
        raise ValueError(
            f"masks must be (K, H, W) with edges (H, W), got {tuple(masks.shape)} and "
            f"{tuple(edges.shape)}"
        )
    if masks.dtype not in (torch.bool, torch.float32, torch.float64):
        raise ValueError(f"masks must be bool or float, got {masks.dtype}")
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps}")
    dtype = torch.float64 if exact else torch.float32
    edges = edges.to(dtype)
    seeds = (masks.to(dtype) * (1 - edges)).flatten(1).T.contiguous()  # (N, K)
    weights = power_weights(steps, _EXACT_TOLERANCE if exact else _FAST_TOLERANCE)
    if len(masks) == 0:
        return seeds.T.unflatten(1, edges.shape)
    walked = _chebyshev_sum(random_walk_laplacian(edges, radius, beta), seeds, weights)
    return walked.T.unflatten(1, edges.shape).clamp(0, 1)  # (K, H, W)


def propagate_fragments(
    fragments: Tensor, edges: Tensor, radius: int = 5, beta: float = 10, steps: int = 256
) -> Tensor:
    """What :func:`propagate_masks` returns, for many small fragments among strong edges.

    A fragment walks only in the box around the regions that it lies in. Edges end a region if all
    steps together cross them with a probability of 0.001 at most, which is the error. Where many
    objects are well enclosed, that takes as long as one of them takes that fills the image.

    Args:
        fragments: bool (F, H, W).
        edges: (H, W) in [0, 1].
        radius: a step of the walk goes less than this many pixels far.
        beta: exponent of the affinities.
        steps: length of the walk, at least 0.

    Returns:
        float32 (F, H, W) in [0, 1]; 0 outside a fragment's box.

    Raises:
        ValueError: if shapes, values or numbers do not fit.
    """
    check_edges(edges)
    closed = 1 - (_LEAKAGE / max(steps, 1)) ** (1 / beta)
    is_open = (edges <= closed).cpu().numpy()
    regions = cv2.connectedComponents(is_open.astype(np.uint8), connectivity=4)[1]  # (H, W)
    boxes = _boxes(regions)  # (R, 4)
    together: dict[tuple[int, ...], list[int]] = {}
    for index, fragment in enumerate(fragments.cpu().numpy()):
        inside = np.unique(regions[fragment])
        inside = inside[inside > 0]
        if len(inside):
            low, high = boxes[inside, :2].min(0), boxes[inside, 2:].max(0)
            together.setdefault((*low.tolist(), *high.tolist()), []).append(index)
    walked = torch.zeros(fragments.shape, device=edges.device)
    for (top, left, bottom, right), members in together.items():
        crop = fragments[members, top:bottom, left:right]
        walked[members, top:bottom, left:right] = propagate_masks(
            crop, edges[top:bottom, left:right], radius, beta, steps
        )
    return walked


def _boxes(regions: NDArray[np.int32]) -> NDArray[np.int64]:
    """Top, left, bottom and right of each region of a map (H, W), the latter excluded: (R, 4)."""
    boxes = np.zeros((int(regions.max()) + 1, 4), dtype=np.int64)
    for number, box in enumerate(scipy.ndimage.find_objects(regions), start=1):
        rows, columns = box
        boxes[number] = rows.start, columns.start, rows.stop, columns.stop
    return boxes


def power_weights(power: int, tolerance: float) -> list[float]:
    """Weights c_k of the Chebyshev polynomials T_k that sum up to s^power on [-1, 1].

    They are the probabilities of a coin-tossing walk: c_k = 2^(1 - n) binomial(n, (n - k) / 2) for
    k of the parity of n = power, half of that for k = 0, and 0 for the others.

    Args:
        power: n, not negative.
        tolerance: the last weights are left out as long as they sum to less than this.

    Returns:
        c_0, c_1, ...; their sum is 1 but for the tolerance, which bounds the error on [-1, 1].
    """
    weights = [0.0] * (power + 1)
    first = power % 2
    weight = math.comb(power, power // 2) / 2**power * (2 if first else 1)
    for index in range(first, power + 1, 2):
        weights[index] = weight
        # From k = 0 to 2 the weight doubles: T_0 stands for one walk, all others for two.
        weight *= (power - index) / (power + index + 2) * (2 if index == 0 else 1)
    left_out = 0.0
    while len(weights) > 1 and left_out + weights[-1] < tolerance:
        left_out += weights.pop()
    return weights


def _chebyshev_sum(laplacian: Tensor, vectors: Tensor, weights: list[float]) -> Tensor:
    """The sum over k of weights[k] T_k(I - laplacian) vectors; vectors are (N, K).

    T_(k+1)(s) = 2 s T_k(s) - T_(k-1)(s) is written with differences between successive terms: they
    grow by -2 laplacian T_k. In float32 that is ten times as accurate as the products themselves.
    """
    total = vectors * weights[0]
    if len(weights) == 1:
        return total
    change = -(laplacian @ vectors)
    current = vectors + change
    total.add_(current, alpha=weights[1])
    for weight in weights[2:]:
        change = torch.addmm(change, laplacian, current, alpha=-2)
        current = current + change
        total.add_(current, alpha=weight)
    return total
