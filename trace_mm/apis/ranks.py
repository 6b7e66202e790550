"""Several processes that share a run, as torchrun starts them."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from trace_mm.console import note


@contextmanager
def ranks() -> Iterator[tuple[int, int]]:
    """This process's rank and their number, as torchrun says; 0 and 1 without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    if dist.is_initialized():
        yield dist.get_rank(), dist.get_world_size()
        return
    dist.init_process_group("gloo", timeout=timedelta(days=30))  # the slowest rank takes its time
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all ranks of :func:`ranks`."""
    if dist.is_initialized():
        dist.barrier()


def note_once(text: str) -> None:
    """Tell a person something, if there is any to tell, on rank 0 alone."""
    if text and os.environ.get("RANK", "0") == "0":
        # Names of files may hold bytes that cannot be printed.
        note(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def leave_group(status: int = 0) -> None:
    """End this process, done or failed, if a launcher began it as one of a group; else do nothing.

    Threads of torch's that exchange tensors may still run when the interpreter takes itself apart,
    and then abort the process, and with it the launch. So nothing is taken apart.

    Args:
        status: of its exit.
    """
    if not dist.is_initialized():
        return
    dist.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def default_device() -> str:
    """This rank's GPU if there is any, else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
