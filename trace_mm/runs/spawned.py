"""How processes of this machine that work for this one begin, and that they end when it does."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread

from trace_mm.console import set_quiet

CONTEXT = get_context("spawn")
"""Starts processes: forking one in which torch has threads or a GPU can deadlock."""

_MALLOC_OPTIONS = {-4: 0, -1: 2**31 - 1, -2: 2**26}
"""Of glibc: M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD in bytes, by their numbers in malloc.h."""


def begin(threads: int, quiet: bool) -> None:
    """What such a process does first.

    It will end when its parent does, also when that is killed, and leave Ctrl-C, which a terminal
    sends to all, to it: otherwise each would die of it with a traceback of its own.

    Args:
        threads: that it may compute with.
        quiet: whether it leaves out notes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    set_quiet(quiet)
    keep_freed_memory()
    use_threads(threads)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Within this context Ctrl-C is put off: a process starts with what is blocked here."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(threads: int) -> None:
    """Compute with so many threads in this process.

    Torch is not imported for it, which takes seconds that a job without models need not wait:
    where it comes later, it goes by the environment, and takes no more threads than cores.
    """
    import cv2

    cv2.setNumThreads(threads)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def keep_freed_memory() -> None:
    """Have this process keep what it frees for what it needs next, where glibc allocates.

    By default large blocks go back to the system, and each attention map would be given its pages
    one by one anew. For processes of our own only: it holds for all that is allocated in them.
    """
    if sys.platform != "linux":
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other libraries have none
    if set_option is not None:
        for option, value in _MALLOC_OPTIONS.items():
            set_option(option, value)


def _end_with_parent() -> None:
    """A worker that computes would not notice that nobody waits for it."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
