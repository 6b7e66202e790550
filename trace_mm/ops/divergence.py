"""How far two attention distributions are apart (paper Sec. 3.2, Table 4, Table 11, App. E.2).

All functions compare ``p`` and ``q`` along one dimension and agree in these points:

- ``p`` and ``q`` have one shape; the result is that shape without the compared dimension.
- They are meant for probability distributions (non-negative, sum 1 along the dimension), but do
  not check it: a check would cost as much as the divergence itself.
- Half precision is computed in float32; float32 and float64 stay what they are.
- Probabilities are clamped to at least ``EPSILON`` before a logarithm. A zero probability thus
  gives neither nan nor inf: 0 * log 0 counts as 0, and p * log(p / 0) as p * log(p / EPSILON).
- NaN in an entry gives NaN out.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-12
"""Lower bound of a probability inside a logarithm; far below any share of attention that counts."""


def safe_log(probability: Tensor) -> Tensor:
    """Natural logarithm of probabilities that are first clamped to at least ``EPSILON``."""
    return probability.clamp(min=EPSILON).log()


def kl_divergence(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Kullback-Leibler divergence KL(p || q) = sum p (log p - log q) in nats (Eq. 1, Eq. 2).

    Args:
        p: distributions, any shape.
        q: distributions of the same shape.
        dim: the dimension that a distribution runs along.

    Returns:
        Divergences >= 0 (up to rounding), the shape of ``p`` without ``dim``.

    Raises:
        ValueError: if the shapes differ or the values are not floating point.

    Examples:
        >>> import torch
        >>> p = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
        >>> q = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
        >>> kl_divergence(p, q).round(decimals=4)
        tensor([0.1438, 0.6931])
    """
    p, q = _check_pair(p, q)
    return kl_from_logs(p, safe_log(p), q, safe_log(q), dim)


def symmetric_kl_divergence(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Mean of both directions, (KL(p || q) + KL(q || p)) / 2, in nats (Table 11).

    Arguments, result and errors are those of :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
        >>> symmetric_kl_divergence(p, q) == symmetric_kl_divergence(q, p)
        tensor(True)
    """
    p, q = _check_pair(p, q)
    return symmetric_kl_from_logs(p, safe_log(p), q, safe_log(q), dim)


def js_divergence(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Jensen-Shannon divergence (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2, in [0, log 2].

    Table 4 and App. E.2. Arguments, result and errors are those of :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> apart = js_divergence(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        >>> round(float(apart), 4)  # log 2, the most there is
        0.6931
    """
    p, q = _check_pair(p, q)
    return js_from_logs(p, safe_log(p), q, safe_log(q), dim)


def l2_distance(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Mean squared difference, the paper's "MSE (L2)" (Table 4).

    The mean, not the sum: the two differ by the number of entries, which changes neither the
    emergence point nor normalised edges. Arguments, result and errors are those of
    :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> round(float(l2_distance(p, q)), 4)
        0.1667
    """
    p, q = _check_pair(p, q)
    return (p - q).square().mean(dim)


def l1_distance(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Mean absolute difference, the paper's "MAE (L1)" (Table 4).

    The mean for the reason given at :func:`l2_distance`. Arguments, result and errors are those
    of :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> round(float(l1_distance(p, q)), 4)
        0.3333
    """
    p, q = _check_pair(p, q)
    return (p - q).abs().mean(dim)


def entropy_difference(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Absolute difference of the entropies, |H(p) - H(q)| in nats (Table 11, App. E.2).

    Arguments, result and errors are those of :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> float(entropy_difference(p, q))  # both are as spread
        0.0
    """
    p, q = _check_pair(p, q)
    return ((p * safe_log(p)).sum(dim) - (q * safe_log(q)).sum(dim)).abs()


def wasserstein_distance(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """Wasserstein-1 distance of two distributions on a line (Table 11, App. E.2).

    The entries lie one unit apart in the order in which they are stored: for an attention row
    that is the flattened grid, as in the paper. The distance is then what has to cross each gap
    between neighbouring entries, that is the absolute difference of the cumulative sums, summed
    over the gaps; in [0, entries - 1]. The last entry follows from the others and is not read.
    Arguments, result and errors are those of :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> float(wasserstein_distance(p, q))  # half of the mass goes two entries far
        1.0
    """
    p, q = _check_pair(p, q)
    crossing = (p - q).cumsum(dim)
    return crossing.narrow(dim, 0, max(crossing.shape[dim] - 1, 0)).abs().sum(dim)


def cosine_distance(p: Tensor, q: Tensor, dim: int = -1) -> Tensor:
    """One minus the cosine similarity, in [0, 1] for non-negative entries; 1 if one is all zero.

    Arguments, result and errors are those of :func:`kl_divergence`.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> round(float(cosine_distance(p, q)), 4)
        0.5
    """
    p, q = _check_pair(p, q)
    # Rounding can push the similarity of equal rows just above one.
    return (1 - F.cosine_similarity(p, q, dim=dim, eps=EPSILON)).clamp(min=0)


DIVERGENCES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "kl": kl_divergence,
    "symmetric_kl": symmetric_kl_divergence,
    "js": js_divergence,
    "l2": l2_distance,
    "l1": l1_distance,
    "entropy": entropy_difference,
    "wasserstein": wasserstein_distance,
    "cosine": cosine_distance,
}
"""Every divergence by the name that configs and the command line use."""


def divergence(p: Tensor, q: Tensor, kind: str = "kl", dim: int = -1) -> Tensor:
    """The divergence named ``kind`` between ``p`` and ``q``.

    Args:
        p: distributions, any shape.
        q: distributions of the same shape.
        kind: a key of ``DIVERGENCES``.
        dim: the dimension that a distribution runs along.

    Returns:
        Divergences, the shape of ``p`` without ``dim``.

    Raises:
        ValueError: if ``kind`` is unknown, the shapes differ or the values are not floating point.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.5, 0.5])
        >>> round(float(divergence(p, q, "l1")), 4)
        0.3333
    """
    check_kind(kind)
    return DIVERGENCES[kind](p, q, dim)


def check_kind(kind: str) -> None:
    """Raises a ValueError that lists the known names if ``kind`` is not one of them."""
    if kind not in DIVERGENCES:
        raise ValueError(f"unknown divergence {kind!r}; known: {', '.join(DIVERGENCES)}")


# The logarithm is the dear part. Whoever compares each row with several others takes it once and
# calls these.


def kl_from_logs(p: Tensor, log_p: Tensor, q: Tensor, log_q: Tensor, dim: int = -1) -> Tensor:
    """:func:`kl_divergence` of distributions whose :func:`safe_log` is already there."""
    return (p * (log_p - log_q)).sum(dim)


def symmetric_kl_from_logs(
    p: Tensor, log_p: Tensor, q: Tensor, log_q: Tensor, dim: int = -1
) -> Tensor:
    """:func:`symmetric_kl_divergence` of distributions whose :func:`safe_log` is already there."""
    return ((p - q) * (log_p - log_q)).sum(dim) / 2


def js_from_logs(p: Tensor, log_p: Tensor, q: Tensor, log_q: Tensor, dim: int = -1) -> Tensor:
    """:func:`js_divergence` of distributions whose :func:`safe_log` is already there."""
    log_m = safe_log((p + q) / 2)
    return (p * (log_p - log_m) + q * (log_q - log_m)).sum(dim) / 2


def as_floating(values: Tensor, name: str = "attention") -> Tensor:
    """``values`` in at least float32.

    Raises:
        ValueError: if they are not floating point.
    """
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {values.dtype}")
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check_pair(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    if p.shape != q.shape:
        raise ValueError(f"p and q must have one shape, got {tuple(p.shape)} and {tuple(q.shape)}")
    return as_floating(p, "p"), as_floating(q, "q")
