"""The Instance Emergence Point: the timestep whose attention differs most from the one before.

Paper Sec. 3.2, Eq. 1, Algorithm 1 and App. D.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from trace_mm.ops.divergence import as_floating, check_kind, divergence

CHUNK_ELEMENTS = 1 << 18
"""Entries of a map that are compared at a time: 1 MiB of float32, which a processor caches."""


@dataclass(frozen=True)
class EmergenceResult:
    """What the search of Eq. 1 found for one image.

    Attributes:
        timestep: the emergence point t*.
        attention: the map at t*, SA_inst, in the shape in which it was given.
        scores: score of each timestep but the first, in the order in which they were given.
    """

    timestep: int
    attention: Tensor
    scores: dict[int, float]


class EmergencePoint:
    """Finds the emergence point of one image in maps that arrive one after the other (Eq. 1).

    score(t) is the mean over rows of D(A_previous || A_t), and t* is the timestep with the
    largest score, the earliest one if several share it. Only the previous and the best map are
    held. They are held by reference: do not write into a map after it was handed over.

    Examples:
        >>> import torch
        >>> maps = {100: torch.full((2, 2), 0.5), 200: torch.eye(2) * 0.8 + 0.1}
        >>> search = EmergencePoint("kl")
        >>> for timestep, attention in maps.items():  # timesteps increase
        ...     score = search.update(timestep, attention)
        >>> search.result().timestep
        200

    Args:
        divergence: a key of ``trace_mm.ops.DIVERGENCES``.

    Raises:
        ValueError: if the divergence is unknown.
    """

    def __init__(self, divergence: str = "kl") -> None:
        check_kind(divergence)
        self.divergence = divergence
        self.scores: dict[int, float] = {}
        self._previous: tuple[int, Tensor] | None = None
        self._best: tuple[int, Tensor] | None = None

    def update(self, timestep: int, attention: Tensor) -> float | None:
        """Takes the map of the next timestep.

        Args:
            timestep: larger than the one before.
            attention: (N, N) or (1, N, N), rows sum to 1. One image: batches hold images whose
                emergence points differ, so each image has its own search.

        Returns:
            The score of this timestep, or None for the first one.

        Raises:
            ValueError: if the timestep does not increase, the shape is wrong or differs from the
                map before, or a value is nan or infinite.
        """
        self._check(timestep, attention)
        score = None
        if self._previous is not None:
            score = mean_row_divergence(self._previous[1], attention, self.divergence)
            if self._best is None or score > self.scores[self._best[0]]:
                self._best = (timestep, attention)
            self.scores[timestep] = score
        self._previous = (timestep, attention)
        return score

    def result(self) -> EmergenceResult:
        """The emergence point of the maps so far.

        Raises:
            ValueError: if fewer than two maps were given.
        """
        if self._best is None:
            seen = 0 if self._previous is None else 1
            raise ValueError(f"an emergence point needs at least two timesteps, got {seen}")
        timestep, attention = self._best
        return EmergenceResult(timestep, attention, dict(self.scores))

    def _check(self, timestep: int, attention: Tensor) -> None:
        shape = tuple(attention.shape)
        square = len(shape) >= 2 and shape[-1] == shape[-2] > 0
        if not square or len(shape) > 3 or (len(shape) == 3 and shape[0] != 1):
            raise ValueError(
                f"attention of one image must be (N, N) or (1, N, N), got {shape} "
                f"at timestep {timestep}"
            )
        if self._previous is not None:
            previous_timestep, previous = self._previous
            if timestep <= previous_timestep:
                raise ValueError(
                    f"timesteps must increase, got {timestep} after {previous_timestep}"
                )
            if attention.shape != previous.shape:
                raise ValueError(
                    f"attention changes its shape from {tuple(previous.shape)} to {shape} "
                    f"at timestep {timestep}"
                )
        # The sum is finite only if each value is; unlike isfinite it needs no second map.
        if not math.isfinite(as_floating(attention).sum().item()):
            raise ValueError(f"attention at timestep {timestep} holds nan or infinite values")


def emergence_point(maps: Iterable[tuple[int, Tensor]], divergence: str = "kl") -> EmergenceResult:
    """The emergence point of (timestep, attention) pairs of one image (Eq. 1).

    The pairs are taken one at a time, so a generator keeps the memory at three maps.

    Args:
        maps: pairs of increasing timestep and attention (N, N) or (1, N, N), rows sum to 1.
        divergence: a key of ``trace_mm.ops.DIVERGENCES``.

    Returns:
        Timestep, attention and scores.

    Raises:
        ValueError: as :class:`EmergencePoint` does.

    Examples:
        >>> import torch
        >>> even = torch.full((2, 2), 0.5)
        >>> own = torch.eye(2) * 0.8 + 0.1
        >>> found = emergence_point([(100, even), (200, own), (300, own)])
        >>> found.timestep  # where attention differs most from the timestep before
        200
    """
    search = EmergencePoint(divergence)
    for timestep, attention in maps:
        search.update(timestep, attention)
    return search.result()


def mean_row_divergence(previous: Tensor, current: Tensor, kind: str = "kl") -> float:
    """Mean over rows of D(previous || current), computed a few rows at a time.

    Args:
        previous: (..., N), rows sum to 1.
        current: of the same shape.
        kind: a key of ``trace_mm.ops.DIVERGENCES``.

    Returns:
        The mean, taken in float64.

    Raises:
        ValueError: if the shapes differ or ``kind`` is unknown.

    Examples:
        >>> import torch
        >>> even = torch.full((2, 2), 0.5)
        >>> mean_row_divergence(even, even)
        0.0
    """
    if previous.shape != current.shape:
        raise ValueError(
            f"maps must have one shape, got {tuple(previous.shape)} and {tuple(current.shape)}"
        )
    rows_previous = previous.reshape(-1, previous.shape[-1])  # (rows, N)
    rows_current = current.reshape(-1, current.shape[-1])
    chunk = max(1, CHUNK_ELEMENTS // rows_current.shape[1])
    scores = [
        divergence(rows_p, rows_q, kind)
        for rows_p, rows_q in zip(
            torch.split(rows_previous, chunk), torch.split(rows_current, chunk), strict=True
        )
    ]
    # On the CPU: not every device has float64.
    return torch.cat(scores).cpu().double().mean().item()
