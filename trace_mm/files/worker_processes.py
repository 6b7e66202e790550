"""Processes that work for this one, and end when it does."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any


class WorkerProcesses(ProcessPoolExecutor):
    """A pool of processes that leave interruptions to this one.

    They are spawned, since forking a process in which torch has threads or a GPU can deadlock. When
    this process is killed they end, and Ctrl-C, which a terminal sends to all, is for this one to
    act on: otherwise each would die of it with a traceback of its own.

    Args:
        workers: how many.
        prepare: a function of a module that each calls first.
    """

    def __init__(self, workers: int, prepare: Callable[[], None] | None = None) -> None:
        super().__init__(workers, get_context("spawn"), _begin, (prepare,))

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in one of the processes, which this may start."""
        with _interrupts_wait():  # a process starts with what is blocked here
            return super().submit(function, *args, **kwargs)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Within this context Ctrl-C is put off."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(prepare: Callable[[], None] | None) -> None:
    """What a process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:  # it would wait for calls for ever
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare()
