"""Workers in other processes of this machine."""

import pickle
import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from threading import Event as ThreadEvent
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, cast

from trace_mm.console import is_quiet, send_notes
from trace_mm.runs.dispatch import Died, Event, Ready
from trace_mm.runs.executors import Task
from trace_mm.runs.job import Item
from trace_mm.runs.spawned import CONTEXT, begin, interrupts_wait, usable_cores

_PATIENCE = 5.0  # seconds that workers are given to end
_MOMENT = 0.01  # seconds that a record may wait for others


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
        self._heard: deque[tuple[int, Event]] = deque()  # what came along with what was told last

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
        while not self._heard:
            seat, events = self._next()
            self._heard.extend((seat, event) for event in events)
        return self._heard.popleft()

    def _next(self) -> tuple[int, list[Event]]:
        connections = [connection for _, connection in self._seats]
        if not self._ready:
            self._ready.extend(cast(list[Connection], wait(connections)))
        connection = self._ready.popleft()
        seat = connections.index(connection)
        try:
            told = connection.recv()
        except (EOFError, OSError):
            return seat, [Died()]
        if isinstance(told, BaseException):
            raise told
        return seat, told

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
    inbox, outbox = _Inbox(connection), _Outbox(connection)
    send_notes(outbox.add)
    try:
        work = pickle.loads(task)
        worker = work.worker(device)
        outbox.add(Ready())
        for items in inbox.stretches():
            for record in work.records(worker, items):
                outbox.add(record)
            outbox.send()
    except (BrokenPipeError, ConnectionResetError):  # nobody waits for it any more
        return
    except Exception as error:
        with suppress(OSError):
            outbox.send()
            connection.send(_sendable(error))


class _Inbox:
    """Chunks of items that come through a connection, until it is closed.

    Another thread receives, so that a sender never waits for a worker that is sending itself.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunks: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
        self._first: list[Item] | None = None  # of the next stretch, if it is there
        Thread(target=self._receive, daemon=True).start()

    def stretches(self) -> Iterator[Iterator[Item]]:
        """Items to be done in one go, as many as are there, so that no step waits between chunks.

        A lone item, which may be one that kills workers, makes a stretch of its own.
        """
        while (chunk := self._first or self._chunks.get()) is not None:
            self._first = None
            yield self._stretch(chunk)

    def _stretch(self, chunk: list[Item]) -> Iterator[Item]:
        yield from chunk
        while len(chunk) > 1 and not self._chunks.empty():
            following = self._chunks.get()
            if following is None:  # nobody waits for what is left
                self._chunks.put(None)
                return
            if len(following) == 1:
                self._first = following
                return
            chunk = following
            yield from chunk

    def _receive(self) -> None:
        try:
            while True:
                self._chunks.put(self._connection.recv())
        except (EOFError, OSError):
            self._chunks.put(None)


class _Outbox:
    """What happens to a worker, on its way through a connection.

    What comes quickly goes together: each message wakes the process that it is for. Nothing waits
    longer than a moment, whatever the worker is at.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._events: list[Event] = []
        self._lock, self._some = Lock(), ThreadEvent()
        Thread(target=self._send_soon, daemon=True).start()

    def add(self, event: Event) -> None:
        """Send an event soon."""
        with self._lock:
            self._events.append(event)
        self._some.set()

    def send(self) -> None:
        """Send at once what waits.

        Raises:
            OSError: if nobody waits for it any more.
        """
        with self._lock:
            self._some.clear()
            if self._events:
                self._connection.send(self._events)
                self._events = []

    def _send_soon(self) -> None:
        with suppress(OSError):  # which the worker finds as well
            while self._some.wait():
                time.sleep(_MOMENT)
                self.send()


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
