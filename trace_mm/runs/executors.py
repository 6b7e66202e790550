"""Where a run's workers are: in this process, in others of this machine, or in a Ray cluster."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypedDict, TypeVar

from trace_mm.runs.dispatch import dispatch
from trace_mm.runs.job import Item, Recipe, Sink, UnusableError, Worker
from trace_mm.runs.pipeline import work
from trace_mm.runs.records import Record

_MOST_A_CHUNK = 64  # items; what a dead worker was at is done again one by one
_MOST_BATCHES = 4  # if that is more: a worker reads and finishes about two batches side by side
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Task:
    """What workers are made of and told; it can be pickled.

    Attributes:
        recipe: of the worker.
        out: where files go.
        batch_size: how many items are predicted at a time.
        most_a_chunk: how many items a worker is given at a time, at most.
    """

    recipe: Recipe
    out: Sink
    batch_size: int = 1
    most_a_chunk: int = _MOST_A_CHUNK

    def worker(self, device: str | None) -> Worker:
        """A worker in this process."""
        return self.recipe.worker(device)

    def records(self, worker: Worker, items: Iterator[Item]) -> Iterator[Record]:
        """Do items by a worker of this process."""
        yield from work(worker, items, self.out, self.batch_size, self.recipe.overlaps)

    def chunk_size(self, count: int, workers: int) -> int:
        """How many of so many items a worker is given at a time."""
        return min(chunk_size(count, self.batch_size, workers), self.most_a_chunk)


class Executor(Protocol):
    """Does items somewhere."""

    def run(self, task: Task, items: Iterator[Item], count: int) -> Iterator[Record]:
        """Do items.

        Args:
            task: what is done.
            items: taken as they are needed.
            count: how many there are, at most.
        """


class RunOptions(TypedDict, total=False):
    """How a run is done, which does not change what it makes: keywords of what begins one.

    Attributes:
        executor: where items are done; None is in this process.
        batch_size: how many images a model is given at a time.
        overwrite: remove what an earlier run has written and start anew.
        show_progress: draw a progress bar on stderr.
    """

    executor: Executor | None
    batch_size: int
    overwrite: bool
    show_progress: bool


@dataclass(frozen=True)
class LocalExecutor:
    """In this process, or in others of this machine.

    Args:
        workers: number of processes; 0 means this one.
        devices: such as ``("cuda:0", "cuda:1")``, which workers are spread over; each worker
            computes where the job says if there are none. More than one need workers: by default
            one each.

    Raises:
        ValueError: if ``workers`` is negative, or there are fewer workers than devices.
    """

    workers: int = 0
    devices: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"there must be 0 workers or more, got {self.workers}")
        if 0 < self.workers < len(self.devices):
            raise ValueError(f"{self.workers} workers cannot use {len(self.devices)} devices")

    def run(self, task: Task, items: Iterator[Item], count: int) -> Iterator[Record]:
        """Do items; see ``Executor``."""
        workers = self.workers or (len(self.devices) if len(self.devices) > 1 else 0)
        if workers == 0:
            yield from task.records(task.worker(next(iter(self.devices), None)), items)
            return
        from trace_mm.runs.processes import Processes

        places = [
            self.devices[n % len(self.devices)] if self.devices else None
            for n in range(min(workers, max(count, 1)))
        ]
        size = task.chunk_size(count, workers)
        with Processes(task, places) as crew:
            yield from dispatch(crew, chunked(items, size))


@dataclass(frozen=True)
class RayExecutor:
    """In a Ray cluster. Workers on other machines see the same folders, or the run is refused.

    Args:
        workers: number of actors. One for which the cluster has no room waits until there is.
        address: of the cluster; see :func:`trace_mm.runs.ray_crew.connected`.
        gpus: that each worker needs, such as 0.5 if two share one; None is one if the job computes
            on an accelerator, else none.
        cpus: that each worker needs; it computes with as many threads.

    Raises:
        ImportError: if Ray is not there.
        ValueError: if a number makes no sense, or the address is one of the Ray client, through
            which records cannot come back one by one.
    """

    workers: int
    address: str | None = None
    gpus: float | None = None
    cpus: float = 1.0

    def __post_init__(self) -> None:
        from trace_mm.runs.ray_crew import require_ray

        require_ray()
        if self.workers < 1:
            raise ValueError(f"Ray needs 1 worker or more, got {self.workers}")
        for name, number in (("CPUs", self.cpus), ("GPUs", self.gpus or 0)):
            if number < 0 or (number > 1 and number != int(number)):
                raise ValueError(f"a worker's {name} must be part of one or whole, got {number:g}")
        if self.address is not None and self.address.startswith("ray://"):
            raise ValueError(
                f"{self.address} is for the Ray client, which cannot hand records over one by one: "
                f"give HOST:6379, the head node's own address, on a machine of the cluster"
            )

    def run(self, task: Task, items: Iterator[Item], count: int) -> Iterator[Record]:
        """Do items; see ``Executor``."""
        from trace_mm.runs.ray_crew import RayCrew, connected, marked, tell_of_gpus

        workers = min(self.workers, max(count, 1))
        gpus = self.gpus if self.gpus is not None else float(task.recipe.overlaps)
        size = task.chunk_size(count, workers)
        with (
            connected(self.address),
            marked(task.out) as mark,
            RayCrew(task, workers, self.cpus, gpus, mark) as crew,
        ):
            tell_of_gpus(gpus)
            yield from dispatch(crew, chunked(items, size))


def records_of(
    executor: Executor, task: Task, items: Iterator[Item], count: int
) -> Generator[Record, None, None]:
    """What an executor makes of items; without any, no worker is started.

    To be closed, whoever keeps an error: no worker outlives the lock of its run.

    Raises:
        ValueError: if a worker cannot work at all.
    """
    try:
        if count:
            yield from executor.run(task, items, count)
    except UnusableError as error:
        raise ValueError(str(error)) from error


def chosen(executor: Executor | None, workers: int) -> Executor:
    """Where a function works that takes an executor or a number of workers.

    Raises:
        ValueError: if it is given both.
    """
    if executor is not None and workers:
        raise ValueError("workers are those of the executor: give one of the two")
    return LocalExecutor(workers) if executor is None else executor


def chunk_size(count: int, batch_size: int, workers: int) -> int:
    """How many of so many items a worker is given at a time."""
    most = max(_MOST_A_CHUNK, _MOST_BATCHES * batch_size)
    return max(batch_size, min(most, count // (4 * workers)), 1)


def chunked(things: Iterable[_Thing], size: int) -> Iterator[list[_Thing]]:
    """Things in lists of ``size``, taken as they are asked for; the last may be shorter."""
    remaining = iter(things)
    while chunk := list(islice(remaining, size)):
        yield chunk
