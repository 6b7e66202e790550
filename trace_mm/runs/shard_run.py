"""A run over shards: one shard of results each, put in place whole, and no other record of it.

A shard is done if its results are there. What they depend on stands in one small file beside them.
It can be killed at any moment, and goes on when it is called again.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from trace_mm.files import check_outputs, locked, remove_temporary_files
from trace_mm.files.addresses import join_address, local_path
from trace_mm.files.brace_names import BraceNames
from trace_mm.files.shard_names import ShardNames, is_shard, result_name
from trace_mm.files.store_leftovers import remove_leftovers
from trace_mm.files.stores import list_files, put_bytes, read_bytes, remove_file
from trace_mm.runs.executors import Executor, LocalExecutor, Task, records_of
from trace_mm.runs.group import Group, group
from trace_mm.runs.job import Item, Recipe, Sink
from trace_mm.runs.packed import divided
from trace_mm.runs.progress import progress_bar, tell
from trace_mm.runs.records import Record, as_json, check_settings, json_line, parse_line
from trace_mm.runs.shard_failures import listed_failures, read_reasons
from trace_mm.runs.shard_worker import ShardItems, ShardRecipe
from trace_mm.runs.sinks import FolderSink, StoreSink
from trace_mm.runs.summary import RunSummary

SETTINGS = "trace_mm.json"
_FORMAT = 1
_REASONS = 100  # of images that failed, which a summary tells


@dataclass(frozen=True)
class ShardJob:
    """Work on what shards hold.

    Attributes:
        shards: what is read.
        out: folder of the results, local or of a store.
        settings: everything that results depend on, besides the shards' place, as JSON values.
        recipe: of the worker that does what shards hold.
        items: what that is.
        read: other local files and folders that must stay as they are.
    """

    shards: ShardNames
    out: str
    settings: dict[str, Any]
    recipe: Recipe
    items: ShardItems
    read: Sequence[Path] = ()


@dataclass(frozen=True, repr=False)
class ShardSummary(RunSummary):
    """What a run did.

    Attributes:
        done: names of the shards whose results were written now.
        skipped: names of those that were done before.
        failed: reason by name of those that could not be read.
        images: how many images the shards hold that were done now.
        images_failed: how many of them failed.
        images_failed_before: how many did in the shards that were done before.
        reasons: why the first of all these did.
    """

    images: int = 0
    images_failed: int = 0
    images_failed_before: int = 0
    reasons: Sequence[str] = field(default_factory=list)

    def describe(self, out: object) -> list[str]:
        """Lines for the person who has run it."""
        before = self.images_failed_before
        told = f" (where {before} image{'s' if before > 1 else ''} failed)" if before else ""
        return [
            f"{len(self.done)} shards done ({self.images} images, {self.images_failed} of them "
            f"failed), {len(self.skipped)} were done before{told}, {len(self.failed)} failed: {out}"
        ]

    def failures(self) -> list[str]:
        """Why shards, and images in them, failed."""
        return [*super().failures(), *self.reasons]


def run_shards(
    job: ShardJob,
    executor: Executor | None = None,
    *,
    batch_size: int = 1,
    overwrite: bool = False,
    show_progress: bool = True,
) -> ShardSummary:
    """Do all shards; go on where an earlier run stopped.

    Args:
        job: what is done.
        executor: where; by default in this process.
        batch_size: how many images a model is given at a time; it does not change results.
        overwrite: remove what an earlier run has written and start anew.
        show_progress: draw a progress bar on stderr.

    Returns:
        What was done, the same in all processes of a launch.

    Raises:
        ValueError: if an option is wrong, something would be written onto or among what is read, an
            earlier run had other settings, or another run is writing to the same local folder.
        OSError: if a result cannot be written.
    """
    if batch_size < 1:
        raise ValueError(f"the batch size must be at least 1, got {batch_size}")
    check_shard_places(job.shards, job.out, job.read)
    local = local_path(job.out)
    with group() as ranks, _lock(local) if ranks.leads else nullcontext():
        waiting, tally = _agree(job, ranks, overwrite)
        sink: Sink = StoreSink(job.out) if local is None else FolderSink(local)
        recipe = ShardRecipe(job.recipe, job.items, job.out, batch_size)
        task = Task(recipe, sink, most_a_chunk=1)
        total, share = len(job.shards), -(-len(waiting) // ranks.size)
        items = _items(job, ranks, waiting)
        shown = show_progress and ranks.leads
        with (
            closing(records_of(executor or LocalExecutor(), task, items, share)) as records,
            progress_bar(total, total - len(waiting), shown, unit="shard") as bar,
        ):
            for record in records:
                tally.add(record)
                bar.set_postfix_str(f"{tally.images} images", refresh=False)
                tell(bar, record, count=ranks.size)  # the others are about as fast
        tally = _together(ranks, tally)
    return _summary(job, waiting, tally)


def check_shard_places(shards: ShardNames, out: str, read: Iterable[Path] = ()) -> None:
    """Refuse a folder that cannot be written, or where shards lie that are read.

    Args:
        shards: that are read.
        out: folder of the results, local or of a store.
        read: other local files and folders that must stay as they are.

    Raises:
        ValueError: if something would be written onto or among what is read; names both.
        OSError: if the folder cannot be written; names it.
    """
    local = local_path(out)
    if local is not None:
        files = (path for path in map(local_path, shards) if path is not None)
        check_outputs(folders=[local], read=chain(files, read))
    elif join_address(out, shards.name(0)).casefold() == shards[0].casefold():
        raise ValueError(f"{out}: results would be written onto {shards[0]}, which is read")


def _lock(local: Path | None) -> AbstractContextManager[None]:
    """Keeps other runs away from a local folder. Of a store, two would write the same bytes."""
    if local is None:
        return nullcontext()
    local.mkdir(parents=True, exist_ok=True)
    return locked(local)


def _agree(job: ShardJob, ranks: Group, overwrite: bool) -> "tuple[array[int], _Tally]":
    """The numbers of the shards that wait, the same for all processes; what the others came to."""
    waiting, tally = array("Q"), _Tally()
    if ranks.leads:
        there, failures = _open(job, overwrite)
        for number in range(len(job.shards)):
            name = job.shards.name(number)
            if name not in there:
                waiting.append(number)
            elif name in failures:
                tally.add_earlier(job.out, name, *failures[name])
        ranks.publish("shards", waiting.tobytes())
    else:
        waiting.frombytes(ranks.learn("shards"))
    return waiting, tally


def _open(job: ShardJob, overwrite: bool) -> tuple[set[str], dict[str, tuple[str, int]]]:
    """Names of the results that are there, all of these settings; what failed in them."""
    local, shards = local_path(job.out), job.shards
    if local is None:
        remove_leftovers(job.out, shards.nested)
    else:
        remove_temporary_files(folders=[local] if shards.nested else [], top=local)
    settings = as_json({**job.settings, "shards": shards.root})
    # One listing, however many shards there are.
    listed = list_files(job.out, shards.nested)
    there, failures = {name for name in listed if is_shard(name)}, listed_failures(listed)
    known = _known(job.out, overwrite)
    claimed = {name for name in map(shards.name_of, shards) if name in there}
    patterns = set(shards.patterns)
    if known is None and claimed and not overwrite:
        raise ValueError(
            f"{job.out} holds {min(claimed)}, but no {SETTINGS} of a run that wrote it: choose "
            f"another folder, or --overwrite"
        )
    if known is not None:
        claimed |= known.names(there)
        if claimed and not overwrite:  # settings of a run that came to nothing bind nobody
            check_settings(job.out, known.settings, settings)
            patterns |= set(known.patterns)
    if overwrite:
        for name in claimed:
            remove_file(join_address(job.out, name))
        there -= claimed
    stale = failures.keys() - there  # of shards that are to be done, or to be done again
    if stale:
        ours = {name for name in map(shards.name_of, shards) if name in stale}
        for name in ours | (set() if known is None else known.names(stale)):
            remove_file(join_address(job.out, failures[name][0]))
    header = _Header(settings, sorted(patterns))
    if header != known:
        put_bytes(join_address(job.out, SETTINGS), header.line())
    return there, failures


@dataclass(frozen=True)
class _Header:
    """What stands beside results.

    Attributes:
        settings: of all of them, with the folder that their shards have in common.
        patterns: of the shards that were ever given, by which results are known as ours.
    """

    settings: dict[str, Any]
    patterns: list[str]

    def line(self) -> bytes:
        return json_line({"format": _FORMAT, **vars(self)})

    def names(self, there: set[str]) -> set[str]:
        """Those of results that are there and ours."""
        root = str(self.settings["shards"])
        every = chain.from_iterable(map(BraceNames, self.patterns))
        return {name for address in every if (name := result_name(address, root)) in there}


def settings_beside(shards: ShardNames) -> dict[str, Any]:
    """The settings of shards of results, in their folder or in one above, whose run wrote them.

    Raises:
        FileNotFoundError: if there are none; names what is missing.
        ValueError: if they are damaged, or of another version; names the file.
    """
    first = result_name(shards.name_of(shards[0]), "")
    for folder, below in _upwards(shards.root):
        known = _known(folder, overwrite=False)
        if known is not None and (not below or known.names({f"{below}/{first}"})):
            return known.settings
    raise FileNotFoundError(
        f"{join_address(shards.root, SETTINGS)}: no such file, which a run over shards leaves"
    )


def _upwards(folder: str) -> Iterator[tuple[str, str]]:
    """A folder and those above it, each with the path from there."""
    below = ""
    while True:
        yield folder, below
        above, slash, name = folder.rpartition("/")
        if not slash or not above or above.endswith("/"):  # of a store: its bucket is the last
            return
        folder, below = above, f"{name}/{below}".rstrip("/")


def _known(out: str, overwrite: bool) -> _Header | None:
    """What stands beside earlier results; None if nothing does, or it is to go and unreadable."""
    place = join_address(out, SETTINGS)
    try:
        value = parse_line(read_bytes(place))
    except FileNotFoundError:
        return None
    try:
        if value is not None and value.pop("format") == _FORMAT and value["settings"]["shards"]:
            return _Header(**value)
    except (KeyError, TypeError):
        pass
    if overwrite:
        return None
    raise ValueError(
        f"{place} is damaged, or not of this version of trace_mm: choose another place, or "
        f"--overwrite to start anew"
    )


def _items(job: ShardJob, ranks: Group, waiting: "array[int]") -> Iterator[Item]:
    """The shards that this process is to do."""
    for number in ranks.share("next shard", waiting):
        address = job.shards[number]
        yield Item(job.shards.name(number), {}, address, address)


@dataclass
class _Tally:
    """What became of shards; as JSON, so that processes can tell each other."""

    failed: dict[str, str] = field(default_factory=dict)
    images: int = 0
    images_failed: int = 0
    images_failed_before: int = 0
    reasons: list[str] = field(default_factory=list)

    def add_earlier(self, folder: str, shard: str, file: str, count: int) -> None:
        """Count what failed when a shard was done before; the first reasons are read."""
        self.images_failed_before += count
        if len(self.reasons) < _REASONS:
            self.reasons += read_reasons(folder, shard, file)

    def add(self, record: Record) -> None:
        if record.error is not None:
            self.failed[record.key] = record.error
            return
        found = record.result
        texts = [f"{record.key}: {reason}" for reason in found["reasons"]]
        self.join(_Tally({}, found["images"], found["failed"], reasons=texts))

    def join(self, other: "_Tally") -> None:
        self.failed.update(other.failed)
        self.images += other.images
        self.images_failed += other.images_failed
        self.images_failed_before += other.images_failed_before
        self.reasons = (self.reasons + other.reasons)[:_REASONS]

    def dumped(self) -> bytes:
        return json.dumps(vars(self)).encode("ascii")


def _together(ranks: Group, tally: _Tally) -> _Tally:
    """What all processes of a launch did."""
    if ranks.size == 1:
        return tally
    ranks.publish(f"shards of {ranks.rank}", tally.dumped())
    every = _Tally()
    for rank in range(ranks.size):
        every.join(_Tally(**json.loads(ranks.learn(f"shards of {rank}"))))
    ranks.barrier()  # the one that holds what they tell each other must not leave before
    return every


def _summary(job: ShardJob, waiting: "array[int]", tally: _Tally) -> ShardSummary:
    names = map(job.shards.name_of, job.shards)
    done, skipped = divided(names, waiting, tally.failed)
    return ShardSummary(
        done=done,
        skipped=skipped,
        failed=dict(sorted(tally.failed.items())),
        images=tally.images,
        images_failed=tally.images_failed,
        images_failed_before=tally.images_failed_before,
        reasons=sorted(tally.reasons),
    )
