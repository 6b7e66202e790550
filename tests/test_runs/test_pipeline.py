"""The steps of a worker, in order or side by side, with the same results."""

import threading

import pytest

from trace_mm.runs.job import Finished, Item
from trace_mm.runs.pipeline import work
from trace_mm.runs.records import Record


class Folder(dict):
    """Where files go."""

    def put(self, path, data):
        self[path] = data


class Doubler:
    """Doubles numbers; odd hundreds cannot be read, 13 spoils a batch, 17 its own result."""

    def __init__(self):
        self.batches = []

    def load(self, item):
        if item.data % 200 == 100:
            raise OSError(f"{item.key}: cannot be read")
        if item.data == 50:
            return Finished(Record(item.key, result={"known": True}))
        return item

    def group(self, item):
        return item.data % 2

    def predict(self, batch):
        self.batches.append([item.data for item in batch])
        if any(item.data == 13 for item in batch):
            raise ValueError("unlucky")
        return [2 * item.data for item in batch]

    def finish(self, item, double):
        if item.data == 17:
            raise ValueError("spoilt")
        return Finished(Record(item.key), {f"{item.key}.txt": str(double).encode()})


def _items(numbers):
    return (Item(str(number), {}, number) for number in numbers)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_items_become_records_and_files(batch_size, overlap):
    out, numbers = Folder(), [*range(20), 50, 100]
    records = {r.key: r for r in work(Doubler(), _items(numbers), out, batch_size, overlap)}
    assert records.keys() == {str(number) for number in numbers}
    failed = {key: record.error for key, record in records.items() if record.error}
    assert failed == {"13": "13: unlucky", "17": "17: spoilt", "100": "100: cannot be read"}
    assert out == {f"{n}.txt": b"%d" % (2 * n) for n in range(20) if n not in (13, 17)}
    assert records["3"].outputs == {"3.txt": 1}
    assert records["50"].result == {"known": True}


def test_a_batch_holds_what_belongs_together_and_is_predicted_one_by_one_where_it_fails():
    worker = Doubler()
    list(work(worker, _items([1, 2, 3, 4, 13, 5, 6]), Folder(), 2))
    assert worker.batches == [[1, 3], [2, 4], [13, 5], [13], [5], [6]]


def test_steps_overlap():
    loaded, finished = threading.Event(), threading.Event()

    class Meeting(Doubler):
        """Each step waits for one of another item, so that none can be alone."""

        def load(self, item):
            if item.data == 1:
                loaded.set()
            return item

        def predict(self, batch):
            if batch[0].data == 0:
                assert loaded.wait(60), "nothing was loaded while this was predicted"
            if batch[0].data == 5:
                assert finished.wait(60), "nothing was finished while this was predicted"
            return super().predict(batch)

        def finish(self, item, double):
            finished.set()
            return super().finish(item, double)

    assert len(list(work(Meeting(), _items(range(6)), Folder(), 1, overlap=True))) == 6


def test_what_is_no_items_fault_ends_the_work():
    class Broken(Doubler):
        def predict(self, batch):
            raise RuntimeError("out of memory")

    for overlap in (False, True):
        with pytest.raises(RuntimeError, match="out of memory"):
            list(work(Broken(), _items(range(3)), Folder(), overlap=overlap))


@pytest.mark.parametrize("overlap", [False, True])
def test_what_few_belong_with_waits_for_few_others(overlap):
    """So that little is in memory: of 1,000 kinds, one comes once, at the start."""

    class Sorter(Doubler):
        def group(self, item):
            return item.data == 7

    worker, out = Sorter(), Folder()
    numbers = [7, *range(1001, 2000, 2)]
    order = [record.key for record in work(worker, _items(numbers), out, 4, overlap)]
    assert order.index("7") <= 64
    assert [7] in worker.batches
    assert len(order) == len(numbers)
