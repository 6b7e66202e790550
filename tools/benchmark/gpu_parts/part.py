"""What the parts of the benchmark on a GPU have in common: a name, needs, checks and measures."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

Values = dict[str, Any]
"""What a step found, by name: numbers, words, or lists of them."""


class SkipError(Exception):
    """Ends a step that cannot run here; says why."""


class CheckError(Exception):
    """Ends a check that found something wrong; says what."""


@dataclass(frozen=True)
class Setting:
    """What is asked for.

    Attributes:
        device: to run on.
        folder: for files of the parts' own.
        quick: fewer rounds and sizes.
        tiny: shrunken models and problems, for a run on a CPU.
    """

    device: torch.device
    folder: Path
    quick: bool = False
    tiny: bool = False

    @property
    def rounds(self) -> int:
        """How often a time is measured, after a round that warms up."""
        return 1 if self.tiny else 2 if self.quick else 5

    @property
    def batches(self) -> tuple[int, ...]:
        """Images a pass."""
        return (1, 2) if self.tiny else (1, 4, 8) if self.quick else (1, 2, 4, 8)


@dataclass(frozen=True)
class Step:
    """One check or measure.

    Attributes:
        name: unique within its part.
        work: gives what it found.
        after: a step that must have passed before, without which this one is skipped.
        growth: how many times as long as that one it is reckoned to take; what does not fit into
            the part's time is skipped.
    """

    name: str
    work: Callable[[], Values]
    after: str | None = None
    growth: float = 1.0


class Part(ABC):
    """A part of the benchmark.

    Attributes:
        name: of the part.
        needs: what it cannot do without, in words.
        seconds: that it may take with ``--quick``; six times that without.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = "a GPU"
    seconds: ClassVar[float] = 40.0

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.device = setting.device

    @abstractmethod
    def checks(self) -> list[Step]:
        """Whether what is computed is right."""

    @abstractmethod
    def measures(self) -> list[Step]:
        """How much time and memory it takes."""

    def close(self) -> None:  # noqa: B027 - most parts keep nothing
        """Let go of what the steps have kept in the device's memory."""


def expect(condition: bool, otherwise: str) -> None:
    """Refuse what is not as it should be.

    Raises:
        CheckError: unless the condition holds; says what is wrong.
    """
    if not condition:
        raise CheckError(otherwise)


def expect_close(found: Tensor, wanted: Tensor, rtol: float, atol: float) -> Values:
    """Compare two tensors, whatever their devices.

    Returns:
        The largest difference.

    Raises:
        CheckError: if they differ by more than the tolerance, in shape, or are not numbers.
    """
    found, wanted = found.detach().cpu().double(), wanted.detach().cpu().double()
    expect(found.shape == wanted.shape, f"shapes {tuple(found.shape)} and {tuple(wanted.shape)}")
    difference = float((found - wanted).abs().max()) if found.numel() else 0.0
    expect(
        torch.allclose(found, wanted, rtol=rtol, atol=atol),
        f"results differ by up to {difference:.2e}; allowed are {rtol:g} of each and {atol:g}",
    )
    return {"largest_difference": difference}


def megabytes(count: float) -> float:
    """MiB of bytes, rounded."""
    return round(count / 2**20, 1)


def milliseconds(seconds: float) -> float:
    """Of seconds, rounded."""
    return round(seconds * 1000, 3)
