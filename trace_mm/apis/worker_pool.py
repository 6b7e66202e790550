"""Work on images in other processes, while this one reads and predicts."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Generic, Self, TypeVar

from trace_mm.files.worker_processes import WorkerProcesses

Result = TypeVar("Result")


class WorkerPool(Generic[Result]):
    """Calls functions in this process or in others; a few calls a worker wait at a time.

    Results are handed on in the order of submission. Leaving the context stops the workers and
    drops what waits.

    Args:
        workers: number of processes; 0 means this one.
        finish: what is called with each result, in this process.

    Raises:
        ValueError: if ``workers`` is negative.
    """

    def __init__(self, workers: int, finish: Callable[[Result], None]) -> None:
        if workers < 0:
            raise ValueError(f"there must be 0 workers or more, got {workers}")
        self._most = 2 * workers
        self._finish = finish
        self._pending: deque[Future[Result]] = deque()
        self._executor = WorkerProcesses(workers) if workers else None

    def submit(self, function: Callable[..., Result], *arguments: object) -> None:
        """Call a function of a module with arguments that can be pickled, now or soon.

        Raises:
            OSError: if a worker has died.
        """
        if self._executor is None:
            self._finish(function(*arguments))
            return
        while len(self._pending) >= self._most:
            self._next()
        try:
            self._pending.append(self._executor.submit(function, *arguments))
        except BrokenProcessPool as error:
            raise _died() from error

    def wait(self) -> None:
        """Finish all calls.

        Raises:
            OSError: if a worker has died.
        """
        while self._pending:
            self._next()

    def _next(self) -> None:
        try:
            result = self._pending.popleft().result()
        except BrokenProcessPool as error:
            raise _died() from error
        self._finish(result)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


def _died() -> OSError:
    return OSError(
        "a worker process died, perhaps for lack of memory; the same command goes on where it "
        "stopped, with fewer workers if need be"
    )
