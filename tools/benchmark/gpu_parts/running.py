"""Runs the steps of parts one by one: goes on after failures, keeps to each part's time."""

import gc
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

import torch

from gpu_parts.part import Part, SkipError, Step, Values

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class OutOfTimeError(BaseException):
    """Ends a step when its part's time is over; no ``except Exception`` of a step may take it."""


@dataclass
class Record:
    """What became of a step.

    Attributes:
        part: its part's name.
        kind: ``"check"`` or ``"measure"``.
        step: its name.
        status: ``"passed"``, ``"failed"`` or ``"skipped"``.
        seconds: that it took.
        reason: why it failed (the last line of the traceback) or was skipped.
        values: what it found.
    """

    part: str
    kind: str
    step: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    values: Values = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class PartRun:
    """Runs the steps of one part within its time.

    Args:
        part: whose steps they are.
        budget: seconds for all of them.
    """

    def __init__(self, part: Part, budget: float) -> None:
        self.part = part
        self.budget = self.left = budget
        self._done: dict[str, Record] = {}

    def run(self, kind: str) -> Iterator[Record]:
        """Run all checks, or all measures; gives a record of each as it ends."""
        try:
            steps = self.part.checks() if kind == "check" else self.part.measures()
        except Exception as error:
            yield Record(self.part.name, kind, "all", FAILED, reason=last_line(error))
            return
        try:
            for step in steps:
                record = self._run_step(kind, step)
                self._done[step.name] = record
                yield record
        finally:
            self.part.close()
            free_memory()

    def _run_step(self, kind: str, step: Step) -> Record:
        record = Record(self.part.name, kind, step.name, SKIPPED)
        record.reason = self._reason_to_skip(step)
        if record.reason:
            return record
        start = time.perf_counter()
        try:
            with limited_time(self.left):
                record.values = step.work()
            record.status = PASSED
        except SkipError as error:
            record.reason = str(error)
        except OutOfTimeError:
            record.reason = f"stopped: did not fit into the part's {self.budget:.0f} s"
        except Exception as error:
            record.status, record.reason = FAILED, last_line(error)
        record.seconds = round(time.perf_counter() - start, 3)
        self.left -= record.seconds
        free_memory()
        return record

    def _reason_to_skip(self, step: Step) -> str:
        before = None if step.after is None else self._done.get(step.after)
        if step.after is not None and (before is None or before.status != PASSED):
            return f"{step.after!r} did not pass"
        reckoned = 0.0 if before is None else before.seconds * step.growth
        if self.left <= reckoned:
            return (
                f"does not fit into the part's {self.budget:.0f} s: {max(self.left, 0):.1f} s "
                f"are left, reckoned are {reckoned:.1f} s"
            )
        return ""


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """Within this context, work ends after so many seconds.

    Raises:
        OutOfTimeError: when they are over.
    """

    def stop(_: int, __: FrameType | None) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def last_line(error: BaseException) -> str:
    """The last line of an error's traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def free_memory() -> None:
    """Give back what nobody refers to any more, so that a failure does not starve the next step."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
