"""Workers in other processes of this machine."""

import pickle
import queue
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from threading import Thread
from types import TracebackType
from typing import Any, Self, cast

from trace_mm.console import is_quiet
from trace_mm.runs.dispatch import ChunkDone, Died, Event, Ready
from trace_mm.runs.executors import Task
from trace_mm.runs.job import Item
from trace_mm.runs.spawned import CONTEXT, begin, interrupts_wait, usable_cores

_PATIENCE = 5.0  # seconds that workers are given to end


class Processes:
    """A crew of spawned processes; a context that ends them.

    They end when this process does, also when it is killed, and leave Ctrl-C to it.

    Args:
        task: what they do.
        devices: one for each worker; None is what the job says.

    Raises:
        ValueError: if the task cannot be pickled.
    """

    def __init__(self, task: Task, devices: Sequence[str | None]) -> None:
        self._devices = list(devices)
        self._task = _pickled(task)
        self._seats: list[tuple[Any, Connection]] = []
        self._ready: deque[Connection] = deque()  # those not looked at yet, so that none waits long

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._devices)

    def __enter__(self) -> Self:
        self._seats = [self._start(device) for device in self._devices]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, connection in self._seats:
            connection.close()  # which ends a worker that waits
        for process, _ in self._seats:
            process.join(_PATIENCE if kind is None else 0)
            if process.is_alive():
                process.terminate()
            process.join()

    def give(self, seat: int, chunk: Sequence[Item]) -> None:
        """Send items to a worker; see ``Crew``."""
        try:
            self._seats[seat][1].send(chunk)
        except OSError:  # it has died, which wait tells
            return

    def wait(self) -> tuple[int, Event]:
        """What happens next; see ``Crew``."""
        connections = [connection for _, connection in self._seats]
        if not self._ready:
            self._ready.extend(cast(list[Connection], wait(connections)))
        connection = self._ready.popleft()
        seat = connections.index(connection)
        try:
            event = connection.recv()
        except (EOFError, OSError):
            return seat, Died()
        if isinstance(event, BaseException):
            raise event
        return seat, event

    def replace(self, seat: int) -> None:
        """Start a new worker; see ``Crew``."""
        process, connection = self._seats[seat]
        connection.close()
        self._ready.clear()
        process.kill()
        process.join()
        self._seats[seat] = self._start(self._devices[seat])

    def _start(self, device: str | None) -> tuple[Any, Connection]:
        ours, theirs = CONTEXT.Pipe()
        arguments = (theirs, self._task, device, _threads(self.size), is_quiet())
        process = CONTEXT.Process(target=_serve, args=arguments, daemon=True)
        with interrupts_wait():
            process.start()
        theirs.close()
        return process, ours


def _serve(
    connection: Connection, task: bytes, device: str | None, threads: int, quiet: bool
) -> None:
    """Do what comes through a connection, until it is closed."""
    begin(threads, quiet)
    chunks: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
    # Another thread receives, so that a sender never waits for a worker that is sending itself.
    Thread(target=_receive, args=(connection, chunks), daemon=True).start()
    try:
        for record in _records(pickle.loads(task), device, chunks):
            connection.send(record)
    except (BrokenPipeError, ConnectionResetError):  # nobody waits for it any more
        return
    except Exception as error:
        connection.send(_sendable(error))


def _records(task: Task, device: str | None, chunks: Any) -> Iterator[Any]:
    worker = task.worker(device)
    yield Ready()
    while (chunk := chunks.get()) is not None:
        yield from task.records(worker, iter(chunk))
        yield ChunkDone()


def _receive(connection: Connection, chunks: Any) -> None:
    try:
        while True:
            chunks.put(connection.recv())
    except (EOFError, OSError):
        chunks.put(None)


def _pickled(task: Task) -> bytes:
    try:
        return pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"worker processes cannot be given what they need, which cannot be pickled ({error}): "
            f"work without them, or with a model that is told by its config"
        ) from error


def _sendable(error: Exception) -> Exception:
    """An exception that survives being pickled."""
    try:
        same: Exception = pickle.loads(pickle.dumps(error))
    except Exception:  # a class whose arguments are not those of its constructor
        return RuntimeError(f"{type(error).__name__}: {error}")
    return same


def _threads(workers: int) -> int:
    """How many threads each of so many workers may use."""
    return max(1, usable_cores() // workers)
