"""Processes that share a run, as torchrun or Slurm starts them."""

import atexit
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, TypeVar

from trace_mm.console import note

_PATIENCE = timedelta(days=30)  # the slowest rank takes its time
_MEETING = timedelta(minutes=5)  # in which all must have begun: their launcher may be dead
_SLURM_PORT = 29500
_RUNS = count()  # of this process; all of a launch do the same ones
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Group:
    """One process of those that share a run. What it does with the others raises an ``OSError`` if
    one of them has ended.

    Attributes:
        rank: of this process.
        size: how many there are.
        store: what they have in common, of this run alone; None if there is one process.
    """

    rank: int = 0
    size: int = 1
    store: Any = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that does what is done once."""
        return self.rank == 0

    def share(self, name: str, things: Iterable[_Thing]) -> Iterator[_Thing]:
        """Those of equal lists that this process is to do: the next whenever it asks for one.

        So a slow process holds no other.

        Args:
            name: of the list, used once a run.
            things: the same for all processes.
        """
        if self.store is None:
            yield from things
            return
        taken = self._next(name)
        for number, thing in zip(count(), things):
            if number == taken:
                yield thing
                taken = self._next(name)

    def publish(self, name: str, data: bytes) -> None:
        """Tell the others something."""
        if self.store is not None:
            with _others_there():
                self.store.set(name, data)

    def learn(self, name: str) -> bytes:
        """Wait for what one of the others publishes."""
        with _others_there():
            data: bytes = self.store.get(name)
        return data

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.store is not None:
            import torch.distributed as dist

            with _others_there():
                dist.barrier()

    def _next(self, name: str) -> int:
        with _others_there():
            number: int = self.store.add(name, 1) - 1
        return number


@contextmanager
def group() -> Iterator[Group]:
    """The group of this process, as torchrun or srun say; one process alone without them."""
    if not is_launched():
        yield Group()
        return
    import torch.distributed as dist

    if dist.is_initialized():  # by the program that calls us
        store = dist.distributed_c10d._get_default_store()
        yield Group(dist.get_rank(), dist.get_world_size(), _of_this_run(store))
        return
    launch, rank, size = _rendezvous()
    store = _of_this_run(launch)  # also for torch, or it looks for the peers of an earlier run
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield Group(rank, size, store)
    finally:
        dist.destroy_process_group()


def is_launched() -> bool:
    """Whether this process is one of several that a launcher has started."""
    return max(int(os.environ.get("WORLD_SIZE", 1)), _slurm_tasks()) > 1


def is_leader() -> bool:
    """Whether this process does what is done once, such as talking to a person."""
    name = "RANK" if "RANK" in os.environ or _slurm_tasks() == 1 else "SLURM_PROCID"
    return os.environ.get(name, "0") == "0"


def local_rank() -> int:
    """The number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0)))


def note_once(text: str) -> None:
    """Tell a person something, if there is any to tell, in one process alone."""
    if text and is_leader():
        # Names of files may hold bytes that cannot be printed.
        note(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def leave_group(status: int = 0) -> None:
    """End this process, done or failed, if a launcher began it as one of a group; else do nothing.

    Threads of torch's that exchange tensors may still run when the interpreter takes itself apart,
    and then abort the process, and with it the launch. So nothing is taken apart.

    Args:
        status: of its exit.
    """
    dist = sys.modules.get("torch.distributed")  # without it, there is no group
    if dist is None or not dist.is_initialized():
        return
    dist.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@cache
def _rendezvous() -> tuple[Any, int, int]:
    """The store of this launch, this process's rank, and how many there are.

    Once: one process would find the store of an earlier run that another is just closing.
    """
    from torch.distributed.rendezvous import rendezvous

    _translate_slurm()
    store, rank, size = next(rendezvous("env://", timeout=_MEETING))
    store.set_timeout(_PATIENCE)
    return store, rank, size


@contextmanager
def _others_there() -> Iterator[None]:
    """Within this context, what torch says if another process has ended is told in plain words."""
    try:
        yield
    except RuntimeError as error:  # also that of a store or of gloo
        raise OSError(
            "another process of this run has ended, and says why; the same command goes on where "
            "the run stopped"
        ) from error


def _of_this_run(store: Any) -> Any:
    """A part of a store, apart from what others and earlier runs of this launch keep there."""
    import torch.distributed as dist

    return dist.distributed_c10d.PrefixStore(f"trace_mm/{next(_RUNS)}", store)


def _slurm_tasks() -> int:
    """How many processes srun has started; 1 within a mere allocation."""
    if "SLURM_PROCID" not in os.environ:
        return 1
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def _translate_slurm() -> None:
    """Set the variables of torchrun from those of Slurm, where these are missing."""
    if "RANK" in os.environ or _slurm_tasks() == 1:
        return
    nodes = os.environ.get("SLURM_STEP_NODELIST", "localhost")
    command = ["scontrol", "show", "hostnames", nodes]
    hosts = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = {
        "RANK": os.environ["SLURM_PROCID"],
        "WORLD_SIZE": str(_slurm_tasks()),
        "LOCAL_RANK": os.environ.get("SLURM_LOCALID", "0"),
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": str(_SLURM_PORT),
    }
    for name, value in found.items():
        os.environ.setdefault(name, value)
