"""Chunks of items to workers that may die, and records back: a dead worker costs what it was at.

Knows nothing of how workers are reached; that is a :class:`Crew`.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from trace_mm.console import note
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record

_IN_FLIGHT = 2  # chunks a worker: one that it is at, and one that waits there
_LONE_DEATHS = 3  # of workers that did an item alone, after which it is to blame


class Ready:
    """A worker has begun, and may be given chunks."""


class Died:
    """A worker has died."""


Event = Record | Ready | Died | str
"""What happens; a text is a note of a worker for a person."""


class Crew(Protocol):
    """Workers, each at a seat."""

    @property
    def size(self) -> int:
        """How many seats there are."""

    def give(self, seat: int, chunk: Sequence[Item]) -> None:
        """Have a worker do items, after those that it was given before; a lone one on its own.

        Of a lone item, the record leaves the worker before anything else is begun.
        """

    def wait(self) -> tuple[int, Event]:
        """Wait for what happens next, and where.

        Raises:
            Exception: what a worker raised that is no item's fault.
        """

    def replace(self, seat: int) -> None:
        """Put a new worker at the seat of a dead one."""


@dataclass
class _Seat:
    """Whether a worker is there; what it was given and has not done, the oldest chunk first."""

    ready: bool = False
    chunks: deque[dict[str, Item]] = field(default_factory=deque)

    def done(self, key: str) -> None:
        """Strike an item off, and the chunk of which it was the last."""
        chunk = next(chunk for chunk in self.chunks if key in chunk)
        del chunk[key]
        if not chunk:
            self.chunks.remove(chunk)


class _Waiting:
    """Chunks that no worker has, those that are to be done again first."""

    def __init__(self, chunks: Iterator[list[Item]]) -> None:
        self._chunks = chunks
        self._next: deque[list[Item]] = deque()

    def __bool__(self) -> bool:
        if not self._next:
            self._next.extend(islice(self._chunks, 1))
        return bool(self._next)

    def take(self) -> list[Item]:
        return self._next.popleft()

    def put_back(self, chunk: list[Item]) -> None:
        self._next.appendleft(chunk)


def dispatch(crew: Crew, chunks: Iterator[list[Item]]) -> Iterator[Record]:
    """Have workers do all items; the next chunk goes to who is free first.

    A worker that dies is replaced. What it was at is done again, each item on its own, so that the
    one that kills workers is found and recorded as failed. Nothing waits for a worker that has not
    begun, such as one for which a cluster has no room, unless there is no other.

    Raises:
        OSError: if workers die one after another without doing anything.
        Exception: what a worker raised that is no item's fault.
    """
    seats = [_Seat() for _ in range(crew.size)]
    waiting = _Waiting(chunks)
    lone_deaths: Counter[str] = Counter()
    told: set[str] = set()  # several workers may have the same to say
    in_vain = 0
    while waiting or any(seat.chunks for seat in seats):
        for number, seat in enumerate(seats):
            while seat.ready and len(seat.chunks) < _IN_FLIGHT and waiting:
                chunk = waiting.take()
                seat.chunks.append({item.key: item for item in chunk})
                crew.give(number, chunk)
        number, event = crew.wait()
        seat = seats[number]
        if isinstance(event, Record):
            in_vain = 0
            seat.done(event.key)
            yield event
        elif isinstance(event, str):
            if event not in told:
                note(event)
            told.add(event)
        elif isinstance(event, Ready):
            seat.ready = True
        else:
            in_vain += 1
            if in_vain > _LONE_DEATHS + 2 * crew.size:
                raise _all_die()
            yield from _blame(seat, lone_deaths, waiting)
            seat.ready = False
            crew.replace(number)


def _blame(seat: _Seat, lone_deaths: Counter[str], waiting: _Waiting) -> Iterator[Record]:
    """Put what a dead worker has not done back; an item that was alone too often has failed."""
    at, *others = list(seat.chunks) or [{}]
    seat.chunks.clear()
    for chunk in others:
        waiting.put_back(list(chunk.values()))
    if len(at) == 1:
        (item,) = at.values()
        lone_deaths[item.key] += 1
        if lone_deaths[item.key] >= _LONE_DEATHS:
            yield item.failed(
                f"{item.key}: {lone_deaths[item.key]} worker processes died at it, perhaps for "
                f"lack of memory"
            )
            return
    for item in at.values():
        waiting.put_back([item])


def _all_die() -> OSError:
    return OSError(
        "worker processes die one after another, perhaps for lack of memory; the same command goes "
        "on where it stopped, with fewer workers if need be"
    )
