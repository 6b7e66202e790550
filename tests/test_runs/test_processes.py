"""What a worker process does with the chunks that it is given."""

from threading import Event

from trace_mm.runs.job import Finished, Item
from trace_mm.runs.pipeline import work
from trace_mm.runs.processes import _Inbox
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import MemorySink


class Connection:
    """Gives chunks, and is closed then."""

    def __init__(self, chunks):
        self._chunks = iter(chunks)
        self.closed = Event()

    def recv(self):
        try:
            return next(self._chunks)
        except StopIteration:
            self.closed.set()
            raise EOFError from None


class Meeting:
    """Predicts an item once the one after it is read."""

    def __init__(self, count):
        self._read = [Event() for _ in range(count)]

    def load(self, item):
        self._read[item.data].set()
        return item

    def group(self, loaded):
        return None

    def predict(self, batch):
        for item in batch:
            assert all(read.wait(60) for read in self._read[item.data :][:2]), "none was read"
        return batch

    def finish(self, loaded, predicted):
        return Finished(Record(loaded.key))


def _items(numbers):
    return [Item(str(number), {}, number) for number in numbers]


def test_steps_overlap_from_one_chunk_to_the_next():
    connection, worker = Connection([_items([0, 1]), _items([2, 3]), _items([4, 5])]), Meeting(6)
    inbox = _Inbox(connection)
    assert connection.closed.wait(60)  # all chunks are there
    keys = [
        record.key
        for items in inbox.stretches()
        for record in work(worker, items, MemorySink(), overlap=True)
    ]
    assert keys == [str(number) for number in range(6)]


def test_lone_items_are_done_on_their_own():
    """So that a worker's death tells which item it was."""
    chunks = [_items(numbers) for numbers in ([0, 1], [2, 3], [4], [5], [6, 7, 8], [9])]
    stretches = [list(items) for items in _Inbox(Connection(chunks)).stretches()]
    assert [item for stretch in stretches for item in stretch] == _items(range(10))
    assert all([chunks[number][0]] in stretches for number in (2, 3, 5))
