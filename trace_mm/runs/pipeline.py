"""Items through the three steps of a worker: load, predict in batches, finish."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trace_mm.runs.job import Finished, Item, Sink, Worker
from trace_mm.runs.records import Record

_THREADS = 2  # that load, and as many that finish
_LONGEST_WAIT = 16  # batches of others, until what few belong with is predicted with these few
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_Loaded = tuple[Item, Any]


@dataclass
class _Batch:
    """What waits for others that belong with it, and the number of the first of it."""

    first: int
    items: list[_Loaded] = field(default_factory=list)


def work(
    worker: Worker, items: Iterable[Item], out: Sink, batch_size: int = 1, overlap: bool = False
) -> Iterator[Record]:
    """Do items and write their files; what one is at fault for is in its record.

    Where one item spoils a batch, its items are predicted one by one.

    Args:
        worker: does the steps.
        items: taken as they are needed.
        out: where files go.
        batch_size: how many are predicted at a time.
        overlap: load and finish in other threads, while this one predicts.
    """
    if not overlap:
        yield from _steps(worker, items, out, batch_size, map, map)
        return
    with ThreadPoolExecutor(_THREADS) as loading, ThreadPoolExecutor(_THREADS) as finishing:

        def load_ahead(call: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
            return _side_by_side(loading, call, given, batch_size + _THREADS)

        def finish_behind(
            call: Callable[[_Given], _Made], given: Iterable[_Given]
        ) -> Iterator[_Made]:
            return _side_by_side(finishing, call, given, batch_size + _THREADS)

        yield from _steps(worker, items, out, batch_size, load_ahead, finish_behind)


def _steps(
    worker: Worker,
    items: Iterable[Item],
    out: Sink,
    batch_size: int,
    load_all: Any,
    finish_all: Any,
) -> Iterator[Record]:
    def load(item: Item) -> _Loaded:
        try:
            return item, worker.load(item)
        except (ValueError, OSError) as error:
            return item, Finished(item.failed(error))

    def finish(entry: tuple[Item, Any, Any]) -> Record:
        item, made, predicted = entry
        if not isinstance(made, Finished):
            try:
                made = worker.finish(made, predicted)
            except ValueError as error:
                made = Finished(item.failed(error))
        return made.written(out)

    yield from finish_all(finish, _predicted(worker, load_all(load, items), batch_size))


def _predicted(
    worker: Worker, entries: Iterable[_Loaded], size: int
) -> Iterator[tuple[Item, Any, Any]]:
    """Loaded items with their predictions, batches of what belongs together.

    None waits for more than so many others, so that few are in memory, whatever belongs together.
    """
    waiting: dict[Hashable, _Batch] = {}  # by when their first item came
    for number, (item, loaded) in enumerate(entries):
        if isinstance(loaded, Finished):
            yield item, loaded, None
        else:
            group = worker.group(loaded)
            batch = waiting.setdefault(group, _Batch(number))
            batch.items.append((item, loaded))
            if len(batch.items) == size:
                yield from _predict(worker, waiting.pop(group).items)
        while waiting and number - next(iter(waiting.values())).first >= _LONGEST_WAIT * size:
            yield from _predict(worker, waiting.pop(next(iter(waiting))).items)
    for batch in waiting.values():
        yield from _predict(worker, batch.items)


def _predict(worker: Worker, batch: list[_Loaded]) -> Iterator[tuple[Item, Any, Any]]:
    """Predictions of a batch; where one item spoils it, those of the others one by one."""
    try:
        predictions = worker.predict([loaded for _, loaded in batch])
    except ValueError as error:
        if len(batch) == 1:
            item = batch[0][0]
            yield item, Finished(item.failed(error)), None
            return
        for entry in batch:
            yield from _predict(worker, [entry])
    else:
        for (item, loaded), predicted in zip(batch, predictions, strict=True):
            yield item, loaded, predicted


def _side_by_side(
    pool: ThreadPoolExecutor,
    call: Callable[[_Given], _Made],
    given: Iterable[_Given],
    ahead: int,
) -> Iterator[_Made]:
    """Like ``map``, in the threads of a pool, at most so many calls ahead of what is asked for."""
    pending: deque[Future[_Made]] = deque()
    for one in given:
        pending.append(pool.submit(call, one))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
