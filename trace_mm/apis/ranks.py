"""Several processes that share a run, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist


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


def leave_group() -> None:
    """End the group of processes that a launcher began, once nothing is to be exchanged any more.

    A process that exits with a group's threads running may abort, its work done.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def default_device() -> str:
    """This rank's GPU if there is any, else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
