"""A run: items that are not done are done, by some executor, and what comes of all is written.

It can be killed at any moment, and goes on when it is called again. Several processes that a
launcher has started share one run.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

from trace_mm.files import check_outputs, locked, remove_temporary_files
from trace_mm.runs.executors import Executor, LocalExecutor, Task, chunk_size, records_of
from trace_mm.runs.group import Group, group
from trace_mm.runs.job import Item, Job, Places
from trace_mm.runs.journal import Journal, is_empty, journal_files, listed_outputs
from trace_mm.runs.packed import Keys, PackedStrings, divided
from trace_mm.runs.progress import progress_bar, tell
from trace_mm.runs.records import Record, as_json

JOURNAL = "manifest.jsonl"


@dataclass(frozen=True)
class RunResult:
    """What a run did.

    Attributes:
        done: keys of the items that were done now, without those that failed.
        skipped: keys of those that were finished before.
        failed: reason by key of those that failed.
        journal: opens the run's journal.
    """

    done: PackedStrings
    skipped: PackedStrings
    failed: dict[str, str]
    journal: Callable[[], Journal]


def run(
    job: Job,
    executor: Executor | None = None,
    *,
    batch_size: int = 1,
    overwrite: bool = False,
    show_progress: bool = True,
    unsaid: str = "",
) -> RunResult:
    """Do a job; go on where an earlier run stopped.

    Args:
        job: what is done.
        executor: where; by default in this process.
        batch_size: how many items a model is given at a time; it does not change results.
        overwrite: remove what an earlier run has written and start anew.
        show_progress: draw a progress bar on stderr.
        unsaid: a note of records that goes without saying.

    Returns:
        What was done, skipped and failed.

    Raises:
        ValueError: if an option is wrong, something would be written onto or among what is read, an
            earlier run had other settings, or another run is writing to the same place.
        OSError: if a result cannot be written.
    """
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, got {batch_size}")
    places, settings = job.places(), as_json(job.settings())
    check_places(places)
    places.top.mkdir(parents=True, exist_ok=True)
    path, keys = places.top / JOURNAL, job.keys
    open_journal = partial(Journal, path, settings, keys)
    with group() as ranks, locked(places.top) if ranks.leads else nullcontext():
        if ranks.leads:
            _clear(places, path, overwrite)
        else:
            ranks.learn("journal")  # which the leading process has brought to one file
        with open_journal(ranks.rank) as journal:
            if ranks.leads:
                _remove_others(job, places, journal)
                journal.merge(job.keeps_others)
                ranks.publish("journal", b"")
            waiting = _agree(job, keys, ranks, journal)
            items = _Items(job, ranks, journal, waiting, batch_size)
            task = Task(job.recipe(), job.sink(), batch_size)
            shown = show_progress and ranks.leads
            share = -(-len(waiting) // ranks.size)
            # Closed at once, whoever keeps an error: no worker outlives the lock.
            with closing(records_of(executor or LocalExecutor(), task, items, share)) as records:
                first = next(records, None)  # before the bar: a model is loaded, or fails to be
                with progress_bar(len(keys), len(keys) - len(waiting), shown) as bar:
                    for record in chain([] if first is None else [first], records):
                        number, outputs = items.taken.pop(record.key)
                        _remove_stale(places, outputs, record)
                        journal.add(number, record)
                        tell(bar, record, unsaid, ranks.size)  # the others are about as fast
            if not ranks.leads:
                journal.close()  # before it is replaced
            ranks.barrier()
            if ranks.leads:
                journal.merge(job.keeps_others)
                _check_complete(keys, journal)
                job.conclude(journal)
            ranks.barrier()
            with nullcontext(journal) if ranks.leads else open_journal() as whole:
                failed = {one.key: str(one.error) for one in whole.failures()}
    return RunResult(*divided(keys, waiting, failed), failed, open_journal)


def read_journal(job: Job) -> Journal:
    """What a run of a job has recorded; a context that closes it.

    Raises:
        ValueError: if what is there has other settings, or is no journal; names the file.
    """
    return Journal(job.places().top / JOURNAL, as_json(job.settings()), job.keys)


def check_places(places: Places) -> None:
    """Refuse places that cannot be written, or lie onto or among what is read.

    Raises:
        ValueError: if something would be written onto or among what is read; names both.
        OSError: if something cannot be written; names it.
    """
    check_outputs(
        files=[places.top / JOURNAL, *places.files],
        folders=[*(places.top / folder for folder in places.folders), *places.others],
        read=places.read,
        searched=places.searched,
    )


def _clear(places: Places, path: Path, overwrite: bool) -> None:
    """Remove what does not belong to this run, and see that no journal is missing."""
    folders = [places.top / folder for folder in places.folders]
    remove_temporary_files(
        chain(places.files, places.named), [*folders, *places.cleared], places.top
    )
    if not journal_files(path):
        _check_unclaimed(folders, places.top)
    if overwrite:
        for output, size in listed_outputs(path):
            _remove(places, output, size)
        _remove_unlisted(folders, places.kinds)
        for file in (*journal_files(path), *places.files):  # what concludes a run comes last again
            file.unlink(missing_ok=True)
    elif is_empty(path) and _first_full(folders) is None:
        for file in journal_files(path):  # settings of a run that came to nothing bind nobody
            file.unlink()


def _remove_others(job: Job, places: Places, journal: Journal) -> None:
    """Remove the results of other items, if they are not to stay."""
    if not job.keeps_others:
        for record in journal.other_records():
            for output, size in record.outputs.items():
                _remove(places, output, size)


def _remove(places: Places, output: str, size: int) -> None:
    """Remove a file that a journal lists; nothing outside the run's folders, whatever it lists.

    In a folder where others write too, one of another size is not the run's.
    """
    path = PurePosixPath(output)
    if ".." in path.parts or path.is_absolute():
        return
    is_own = any(path.is_relative_to(folder) for folder in places.folders)
    folder = places.top if is_own else places.listed
    file = None if folder is None else folder / output
    if file is not None and file.is_file() and (is_own or file.stat().st_size == size):
        file.unlink()


def _remove_unlisted(folders: list[Path], kinds: Sequence[str]) -> None:
    """Remove what a run put in place and was killed before it was recorded; no other kinds."""
    for path in chain.from_iterable(folder.rglob("*") for folder in folders):
        if path.suffix in kinds and path.is_file():
            path.unlink()


def _remove_stale(places: Places, outputs: Mapping[str, int], record: Record) -> None:
    """Remove what an item's earlier record lists and its new one does not.

    Before the new one is written: a run that is killed in between finds files missing, and does the
    item again.
    """
    for output, size in outputs.items():
        if output not in record.outputs:
            _remove(places, output, size)


def _check_unclaimed(folders: list[Path], top: Path) -> None:
    """Refuse to write among files that no journal accounts for."""
    folder = _first_full(folders)
    if folder is not None:
        raise ValueError(
            f"{folder} holds files, but {top} has no {JOURNAL} of a run that wrote them: "
            f"remove them, or choose another folder"
        )


def _first_full(folders: list[Path]) -> Path | None:
    """The first folder that holds anything."""
    return next((one for one in folders if one.is_dir() and any(one.iterdir())), None)


def _agree(job: Job, keys: Keys, ranks: Group, journal: Journal) -> "array[int]":
    """The numbers of the keys that wait, the same for all processes.

    Raises:
        ValueError: if the processes see different items.
    """
    waiting = array("Q")
    if ranks.leads:
        try:
            waiting.extend(n for n in range(len(keys)) if _waits(job, journal, n))
        except ValueError:  # what is refused leaves all as it was
            journal.close()
            for part in journal_files(journal.path)[1:]:
                part.unlink()
            raise
        ranks.publish("items", keys.digest())
        ranks.publish("waiting", waiting.tobytes())
        return waiting
    if ranks.learn("items") != keys.digest():
        raise ValueError("the processes of this run see different images: do they share a folder?")
    waiting.frombytes(ranks.learn("waiting"))
    return waiting


def _waits(job: Job, journal: Journal, number: int) -> bool:
    """Whether an item is to be done; if not, what is to be known of it is put down."""
    if not journal.has(number):
        return True
    found = job.item(number, journal.record(number))
    if isinstance(found, Record):
        journal.add(number, found)
        return False
    return found is not None


class _Items(Iterator[Item]):
    """The items that this process is to do.

    Attributes:
        taken: number and earlier outputs of those that are at work, by key.
    """

    def __init__(
        self, job: Job, ranks: Group, journal: Journal, waiting: "array[int]", batch_size: int
    ) -> None:
        self.taken: dict[str, tuple[int, Mapping[str, int]]] = {}
        size = chunk_size(len(waiting), batch_size, ranks.size) if ranks.size > 1 else batch_size
        chunks = ranks.share("chunks", range(0, len(waiting), size))
        self._numbers = chain.from_iterable(waiting[start : start + size] for start in chunks)
        self._job, self._journal = job, journal

    def __next__(self) -> Item:
        for number in self._numbers:
            known = self._journal.record(number)
            item = self._job.item(number, known)
            if isinstance(item, Item):
                self.taken[item.key] = number, {} if known is None else known.outputs
                return item
        raise StopIteration


def _check_complete(keys: Keys, journal: Journal) -> None:
    """Refuse to conclude without an item that changed while the others were done."""
    for number in range(len(keys)):
        if not journal.has(number):
            raise ValueError(f"{keys[number]}: changed during the run; run again")
