"""What one process does with shards: each is an item, whose own items another worker does."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from trace_mm.files.addresses import join_address
from trace_mm.files.shards import ShardWriter
from trace_mm.runs.job import Finished, Item, Recipe, Worker
from trace_mm.runs.pipeline import work
from trace_mm.runs.records import Record
from trace_mm.runs.shard_failures import put_failures
from trace_mm.runs.sinks import MemorySink

RECORD = "json"
"""Extension of what is known of a sample, within a shard of results."""

REASONS = 5  # of failures and notes in a shard that its record tells


class ShardItems(Protocol):
    """What is to be done of a shard; it can be pickled, and is small."""

    def items(self, address: str) -> Iterator[Item | Record]:
        """The items of a shard with all that they are made of, in their order.

        Args:
            address: of the shard.

        Yields:
            Items; of a sample that is of no use, the record that says why.

        Raises:
            ValueError: if the shard is no whole tar; names it.
            OSError: if it cannot be read; names it.
        """

    def extensions(self, key: str) -> Mapping[str, str]:
        """What the files of an item are called in a shard, by the path that its worker gives."""


@dataclass(frozen=True)
class ShardRecipe:
    """How a worker that does whole shards is made; see ``Recipe``.

    Attributes:
        inner: of the worker that does what shards hold.
        items: what that is.
        out: folder of the results, local or of a store.
        batch_size: how many items the inner worker predicts at a time.
    """

    inner: Recipe
    items: ShardItems
    out: str
    batch_size: int = 1

    @property
    def overlaps(self) -> bool:
        """Whether the inner steps are worth to be done side by side."""
        return self.inner.overlaps

    def worker(self, device: str | None) -> "ShardWorker":
        """A worker; see ``Recipe``."""
        return ShardWorker(self, self.inner.worker(device))


class ShardWorker:
    """Does all that shards hold, and writes a shard of results for each; see ``Worker``.

    The data of an item is the address of its shard. Its results are put in place whole, in the
    order of the samples, and the same bytes however they were made. Few of them are in memory.
    """

    def __init__(self, recipe: ShardRecipe, inner: Worker) -> None:
        self._recipe, self._inner = recipe, inner

    def load(self, item: Item) -> Item:
        """Nothing: it is read while it is done."""
        return item

    def group(self, loaded: Item) -> None:
        """Any: shards are done one by one."""

    def predict(self, batch: Sequence[Item]) -> Sequence[Record]:
        """Do shards.

        Raises:
            ValueError: if one cannot be read; names it. Nothing is written then.
            OSError: if results cannot be written.
        """
        return [self._do(item) for item in batch]

    def finish(self, loaded: Item, predicted: Record) -> Finished:
        """Nothing is left to do."""
        return Finished(predicted)

    def _do(self, item: Item) -> Record:
        counts = _Counts()
        with ShardWriter(join_address(self._recipe.out, item.key)) as shard:
            for record, files in self._samples(str(item.data)):
                counts.add(record)
                shard.add(record.key, {**files, RECORD: record.line()})
            if counts.failed:
                put_failures(self._recipe.out, item.key, counts.failed, counts.reasons)
        return Record(item.key, result=counts.result(), notes=counts.texts())

    def _samples(self, address: str) -> Iterator[tuple[Record, dict[str, bytes]]]:
        """Records with their files by extension, in the order of the samples."""
        order: deque[str] = deque()
        done: dict[str, Record] = {}
        sink = MemorySink()

        def items() -> Iterator[Item]:
            for one in _readable(self._recipe.items.items(address)):
                order.append(one.key)
                if isinstance(one, Record):
                    done[one.key] = one
                else:
                    yield one

        def in_order() -> Iterator[tuple[Record, dict[str, bytes]]]:
            while order and order[0] in done:
                yield self._taken(done.pop(order.popleft()), sink)

        size, overlaps = self._recipe.batch_size, self._recipe.overlaps
        for record in work(self._inner, items(), sink, size, overlaps):
            done[record.key] = record
            yield from in_order()
        yield from in_order()

    def _taken(self, record: Record, sink: MemorySink) -> tuple[Record, dict[str, bytes]]:
        """A record that calls its files as the shard does, and these."""
        called = self._recipe.items.extensions(record.key)
        files = {called[path]: sink.take(path) for path in record.outputs}
        outputs = {extension: len(data) for extension, data in files.items()}
        return replace(record, outputs=outputs), files


@dataclass
class _Counts:
    """What became of the samples of a shard."""

    images: int = 0
    failed: int = 0
    noted: int = 0
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, record: Record) -> None:
        self.images += 1
        if record.error is not None:
            self.failed += 1
            self.reasons += [record.error][: REASONS - len(self.reasons)]
        texts = record.notes + record.remarks
        self.noted += bool(texts)
        self.notes += [f"{record.key}: {text}" for text in texts][: REASONS - len(self.notes)]

    def result(self) -> dict[str, Any]:
        return {"images": self.images, "failed": self.failed, "reasons": self.reasons}

    def texts(self) -> list[str]:
        failed, noted = f"{self.failed} of {self.images} images failed", f"notes on {self.noted}"
        pairs = ((failed, self.reasons), (noted, self.notes))
        return [f"{text}, such as {given[0]}" for text, given in pairs if given]


def _readable(items: Iterator[Item | Record]) -> Iterator[Item | Record]:
    """A shard that cannot be read is at fault itself; that nothing can be written is not."""
    try:
        yield from items
    except OSError as error:
        raise ValueError(str(error)) from error
