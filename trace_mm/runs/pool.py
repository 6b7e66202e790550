"""Functions called in other processes of this machine, with results in the order of the calls."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, Self, TypeVar

from trace_mm.console import is_quiet
from trace_mm.runs.executors import chunked
from trace_mm.runs.spawned import CONTEXT, begin, interrupts_wait

_WAITING = 4  # calls a worker, so that memory stays bounded however many there are
_CHUNK = 16  # things that a worker is given at a time
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class Pool(Generic[_Made]):
    """Calls functions in this process or in others; a few calls a worker wait at a time.

    The others compute with one thread each. A context; leaving it stops them and drops what waits.
    Work that is to be resumed, or to outlive a dead worker, is a :class:`trace_mm.runs.job.Job`.

    Args:
        workers: number of processes; 0 means this one.
        finish: what is called with each result, in this process, in the order of the calls.

    Raises:
        ValueError: if ``workers`` is negative.
    """

    def __init__(self, workers: int, finish: Callable[[_Made], Any]) -> None:
        _check(workers)
        self._most = _WAITING * workers
        self._finish = finish
        self._pending: deque[Future[_Made]] = deque()
        self._executor = (
            ProcessPoolExecutor(workers, CONTEXT, begin, (1, is_quiet())) if workers else None
        )

    def submit(self, function: Callable[..., _Made], *arguments: object) -> None:
        """Call a function of a module with arguments that can be pickled, now or soon.

        Raises:
            OSError: if a worker has died.
            Exception: what this or an earlier call raises.
        """
        if self._executor is None:
            self._finish(function(*arguments))
            return
        while len(self._pending) >= self._most:
            self._next()
        try:
            with interrupts_wait():  # this may start a process
                self._pending.append(self._executor.submit(function, *arguments))
        except BrokenProcessPool as error:
            raise _died() from error

    def wait(self) -> None:
        """Finish all calls.

        Raises:
            OSError: if a worker has died.
            Exception: what a call raises.
        """
        while self._pending:
            self._next()

    def close(self) -> None:
        """Stop the workers and drop what waits; harmless if done before."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        """How many calls are not finished."""
        return len(self._pending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _next(self) -> None:
        try:
            result = self._pending.popleft().result()
        except BrokenProcessPool as error:
            raise _died() from error
        self._finish(result)


def ordered_map(
    function: Callable[[_Given], _Made], things: Iterable[_Given], workers: int = 0
) -> Iterator[_Made]:
    """Like ``map``, in this process or in others; things are taken as they are needed.

    Args:
        function: of a module.
        things: that can be pickled, if there are workers.
        workers: number of processes; 0 means this one.

    Raises:
        ValueError: if ``workers`` is negative.
        OSError: if a worker has died.
        Exception: what a call raises.
    """
    _check(workers)
    return _in_processes(function, things, workers) if workers else map(function, things)


def _in_processes(
    function: Callable[[_Given], _Made], things: Iterable[_Given], workers: int
) -> Iterator[_Made]:
    made: deque[_Made] = deque()
    with Pool[list[_Made]](workers, made.extend) as pool:
        for chunk in chunked(things, _CHUNK):
            pool.submit(_call_each, function, chunk)
            while made:
                yield made.popleft()
        pool.wait()
        yield from made


def _call_each(function: Callable[[_Given], _Made], things: Sequence[_Given]) -> list[_Made]:
    return [function(thing) for thing in things]


def _check(workers: int) -> None:
    if workers < 0:
        raise ValueError(f"there must be 0 workers or more, got {workers}")


def _died() -> OSError:
    return OSError("a worker process died, perhaps for lack of memory: try fewer workers")
