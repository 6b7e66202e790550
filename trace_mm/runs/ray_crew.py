"""Workers in a Ray cluster: an actor each, which holds its model once."""

import logging
import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from trace_mm import __version__
from trace_mm.console import is_quiet, note, send_notes, set_quiet
from trace_mm.runs.dispatch import Died, Event, Ready
from trace_mm.runs.executors import Task
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink
from trace_mm.runs.spawned import keep_freed_memory, use_threads

_PATIENCE = 20.0  # seconds without any news, after which a person is told what is waited for
_REACHED = 10.0  # seconds in which a cluster must answer
_SILENT = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what Ray itself has to say stays in its log files
    "RAY_USAGE_STATS_ENABLED": "0",  # a cluster that we start reports to nobody
}


class RayCrew:
    """A crew of actors in the cluster that this process is connected to; a context that ends them.

    They end when this process does, also when it is killed.

    Args:
        task: what they do.
        size: how many there are.
        cpus: that each needs, and as many threads it uses.
        gpus: that each needs; a part of one if several share it.
        mark: of the folder that results go to, by which workers know it; see ``FolderSink``.
    """

    def __init__(self, task: Task, size: int, cpus: float, gpus: float, mark: str | None) -> None:
        import ray

        self.size = size
        self._needs = {"num_cpus": cpus, "num_gpus": gpus}
        threads, device = max(1, int(cpus)), "cuda:0" if gpus else None  # Ray hides the others
        data = ray.cloudpickle.dumps(task)
        self._begin = (__version__, data, device, threads, is_quiet(), mark, os.getcwd())  # noqa: PTH109
        # Ray's own restarts would do whole chunks again and not tell which item kills workers.
        options = {**self._needs, "max_restarts": 0, "max_task_retries": 0}
        self._actor = ray.remote(RayWorker).options(**options)
        self._seats: list[_RaySeat] = []
        self._order: deque[int] = deque(range(size))  # who was heard last is heard last again
        self._is_told = False

    def __enter__(self) -> Self:
        self._seats = [self._start() for _ in range(self.size)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for seat in self._seats:
            if kind is None:
                seat.settle()
            seat.end()

    def give(self, seat: int, chunk: Sequence[Item]) -> None:
        """Call a worker; see ``Crew``."""
        self._seats[seat].call("do", list(chunk))

    def wait(self) -> tuple[int, Event]:
        """What happens next; see ``Crew``."""
        while True:
            number = self._next()
            event = self._seats[number].event()
            if event is not None:
                return number, event

    def replace(self, seat: int) -> None:
        """Start a new worker, which waits for room if there is none; see ``Crew``."""
        self._seats[seat].end()
        self._seats[seat] = self._start()

    def _next(self) -> int:
        """The next seat of which there is news."""
        import ray

        busy = {number: calls[0] for number in self._order if (calls := self._seats[number].calls)}
        ready: list[Any] = []
        while not ready:
            ready, _ = ray.wait(list(busy.values()), timeout=_PATIENCE)
            if not ready:
                self._tell_of_room()
        found = next(number for number, call in busy.items() if call is ready[0])
        self._order.remove(found)
        self._order.append(found)
        return found

    def _tell_of_room(self) -> None:
        missing = sum(not seat.has_begun for seat in self._seats)
        if missing and not self._is_told:
            self._is_told = True
            note(
                f"{missing} of {self.size} workers have not begun: each waits until the Ray "
                f"cluster has {self._needs['num_cpus']:g} CPUs and {self._needs['num_gpus']:g} "
                f"GPUs for it, or loads its model"
            )

    def _start(self) -> "_RaySeat":
        seat = _RaySeat(self._actor.remote())
        seat.call("begin", *self._begin)
        return seat


class _RaySeat:
    """An actor and what it was asked to do, the oldest call first."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.calls: deque[Any] = deque()
        self.has_begun = False

    def call(self, method: str, *arguments: Any) -> None:
        """Have the actor do something, after what it was asked before."""
        self.calls.append(
            getattr(self._actor, method).options(num_returns="streaming").remote(*arguments)
        )

    def event(self) -> Event | None:
        """What the oldest call has given, which must be there.

        None if it has ended.
        """
        import ray
        from ray import exceptions

        try:
            event: Event = ray.get(next(self.calls[0]))
        except StopIteration:
            return self._after_call()
        except exceptions.RayTaskError as error:
            raise error.cause from error
        except exceptions.RayActorError as error:
            if error.actor_init_failed:  # its module or class cannot be imported
                raise ImportError(
                    f"a node of the Ray cluster cannot import trace_mm {__version__}, which must "
                    f"be installed on all: {_last_line(error)}"
                ) from error
            return Died()
        except (
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
            exceptions.OutOfMemoryError,
            exceptions.WorkerCrashedError,
        ):
            return Died()
        except exceptions.RayError as error:
            raise OSError(f"Ray: {_last_line(error)}") from error
        return event

    def settle(self) -> None:
        """Let the actor return from what it has done, or Ray would complain of its end."""
        while self.has_begun and self.calls and not isinstance(self.event(), Died):
            pass

    def end(self) -> None:
        """End the actor, whatever it is at."""
        import ray

        self.calls.clear()
        ray.kill(self._actor)

    def _after_call(self) -> Event | None:
        self.calls.popleft()
        if self.has_begun:
            return None
        self.has_begun = True
        return Ready()


class RayWorker:
    """A job's worker in a process of a cluster. What it yields as text are notes for a person."""

    def begin(
        self,
        version: str,
        task: bytes,
        device: str | None,
        threads: int,
        quiet: bool,
        mark: str | None,
        folder: str,
    ) -> Iterator[str]:
        """Make the worker.

        Raises:
            ValueError: if the cluster has another version of this package.
            OSError: if this machine does not see the folder of the results.
        """
        import ray

        if version != __version__:
            raise ValueError(
                f"{_here()}: trace_mm {__version__} is installed there, and {version} here"
            )
        if os.path.isdir(folder):  # noqa: PTH112
            os.chdir(folder)  # so that relative paths mean the same
        set_quiet(quiet)
        keep_freed_memory()
        use_threads(threads)
        self._notes: deque[str] = deque()
        send_notes(self._notes.append)
        self._task: Task = ray.cloudpickle.loads(task)
        _check_folder(self._task.out, mark)
        self._worker = self._task.worker(device)
        yield from self._said()

    def do(self, chunk: Iterable[Item]) -> Iterator[Record | str]:
        """Do items."""
        for record in self._task.records(self._worker, iter(chunk)):
            yield from self._said()
            yield record
        yield from self._said()

    def _said(self) -> Iterator[str]:
        while self._notes:
            yield self._notes.popleft()


def require_ray() -> None:
    """Check that Ray is there, without importing it.

    Raises:
        ImportError: if not; names the extra.
    """
    if find_spec("ray") is None:
        raise ImportError("the executor ray needs Ray: pip install 'trace_mm[ray]'")


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Within this context the process is connected to a Ray cluster.

    Args:
        address: of its head, as ``ray start`` says it; ``"auto"`` is the one of this machine,
            ``"local"`` a new one of this machine alone; None is ``RAY_ADDRESS``, else the one of
            this machine, else a new one. A connection that the program has already goes before it.

    Raises:
        OSError: if there is no such cluster, or a new one does not start.
    """
    with _environment(_SILENT):
        import ray

        ours = not ray.is_initialized()
        if ours:
            _check_address(address or os.environ.get("RAY_ADDRESS"))
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except ValueError:  # an address that makes no sense
                raise
            except Exception as error:  # Ray's own class for a start that takes too long is this
                ray.shutdown()
                raise OSError(f"no Ray cluster: {_first_line(error)}{_hint(error)}") from error
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within this context these variables are set, where they are not set already."""
    ours = [name for name in variables if name not in os.environ]
    os.environ.update({name: variables[name] for name in ours})
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _check_address(address: str | None) -> None:
    """Refuse what cannot be reached; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACHED).close()
    except OSError as error:
        raise OSError(f"no Ray cluster answers at {address}: {error}") from error


def tell_of_gpus(gpus: float) -> None:
    """Say that workers do without the GPUs that a cluster has."""
    import ray

    there = ray.cluster_resources().get("GPU", 0)
    if there and not gpus:
        note(f"the Ray cluster has {there:g} GPUs, of which the workers were given none")


@contextmanager
def marked(out: object) -> Iterator[str | None]:
    """Within this context a folder that results go to holds a mark, which is given."""
    if not isinstance(out, FolderSink):
        yield None
        return
    with out.marked() as mark:
        yield mark


def _hint(error: Exception) -> str:
    if "InvalidAuthToken" not in str(error.__cause__):
        return ""
    return ", which asks for a token: RAY_AUTH_MODE=token makes Ray show yours"


def _check_folder(out: object, mark: str | None) -> None:
    """Refuse to work where results would go to another folder than that of the run."""
    if isinstance(out, FolderSink) and mark is not None and not out.has(mark):
        raise OSError(
            f"{_here()} does not see {out.folder} of this machine: the nodes of the Ray cluster "
            f"must share the folders of images and results"
        )


def _here() -> str:
    return f"{socket.gethostname()}, a node of the Ray cluster,"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _last_line(error: Exception) -> str:
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)
