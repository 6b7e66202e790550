"""Chunks of items to workers that may die, and records back: a dead worker costs what it was at.

Knows nothing of how workers are reached; that is a :class:`Crew`.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trace_mm.runs.job import Item
from trace_mm.runs.records import Record

_IN_FLIGHT = 2  # chunks a worker: one that it is at, and one that waits there
_LONE_DEATHS = 3  # of workers that did an item alone, after which it is to blame


class Died:
    """A worker has died."""


class ChunkDone:
    """A worker has done the oldest of its chunks."""


Event = Record | ChunkDone | Died


class Crew(Protocol):
    """Workers, each at a seat."""

    @property
    def size(self) -> int:
        """How many seats there are."""

    def give(self, seat: int, chunk: Sequence[Item]) -> None:
        """Have a worker do items, after those that it was given before."""

    def wait(self) -> tuple[int, Event]:
        """Wait for what happens next, and where.

        Raises:
            Exception: what a worker raised that is no item's fault.
        """

    def replace(self, seat: int) -> None:
        """Put a new worker at the seat of a dead one."""


@dataclass
class _Seat:
    """What a worker was given and has not done, the oldest chunk first."""

    chunks: deque[dict[str, Item]] = field(default_factory=deque)


def dispatch(crew: Crew, chunks: Iterator[list[Item]]) -> Iterator[Record]:
    """Have workers do all items; the next chunk goes to who is free first.

    A worker that dies is replaced. What it was at is done again, each item on its own, so that the
    one that kills workers is found and recorded as failed.

    Raises:
        OSError: if workers die one after another without doing anything.
        Exception: what a worker raised that is no item's fault.
    """
    seats = [_Seat() for _ in range(crew.size)]
    again: deque[list[Item]] = deque()
    lone_deaths: Counter[str] = Counter()
    in_vain = 0
    while True:
        for number, seat in enumerate(seats):
            while len(seat.chunks) < _IN_FLIGHT:
                chunk = again.popleft() if again else next(chunks, None)
                if chunk is None:
                    break
                seat.chunks.append({item.key: item for item in chunk})
                crew.give(number, chunk)
        if not any(seat.chunks for seat in seats):
            return
        number, event = crew.wait()
        seat = seats[number]
        if isinstance(event, Record):
            in_vain = 0
            seat.chunks[0].pop(event.key, None)
            yield event
        elif isinstance(event, ChunkDone):
            seat.chunks.popleft()
        else:
            in_vain += 1
            if in_vain > _LONE_DEATHS + 2 * crew.size:
                raise _all_die()
            yield from _blame(seat, lone_deaths, again)
            crew.replace(number)


def _blame(seat: _Seat, lone_deaths: Counter[str], again: deque[list[Item]]) -> Iterator[Record]:
    """Put what a dead worker has not done back; an item that was alone too often has failed."""
    at, *waiting = list(seat.chunks) or [{}]
    seat.chunks.clear()
    again.extend(list(chunk.values()) for chunk in waiting)
    if len(at) == 1:
        (item,) = at.values()
        lone_deaths[item.key] += 1
        if lone_deaths[item.key] >= _LONE_DEATHS:
            yield item.failed(
                f"{item.key}: {lone_deaths[item.key]} worker processes died at it, perhaps for "
                f"lack of memory"
            )
            return
    again.extend([item] for item in at.values())


def _all_die() -> OSError:
    return OSError(
        "worker processes die one after another, perhaps for lack of memory; the same command goes "
        "on where it stopped, with fewer workers if need be"
    )
