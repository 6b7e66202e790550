"""What a job tells the engine: its items, what is done with each, and what comes of them."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from trace_mm.runs.journal import Journal
from trace_mm.runs.packed import Keys
from trace_mm.runs.records import Record


class UnusableError(Exception):
    """A worker cannot work at all, such as without its model: no item's fault, and ends the run."""


@dataclass(frozen=True)
class Item:
    """One thing to do, on its way to a worker; it can be pickled.

    Attributes:
        key: unique in the run.
        state: what changes when the files do that it is made of, as JSON values.
        data: what the job's worker needs.
        label: what messages call it; the key if empty.
    """

    key: str
    state: dict[str, Any]
    data: Any = None
    label: str = ""

    def failed(self, error: Exception | str) -> Record:
        """The record of an item that failed; its error names the item."""
        text, label = str(error) or type(error).__name__, self.label or self.key
        return Record(self.key, self.state, error=text if label in text else f"{label}: {text}")


@dataclass(frozen=True)
class Finished:
    """What a worker has made of an item.

    Attributes:
        record: without the sizes of ``files``.
        files: content by path in the run's folder, to be written whole.
    """

    record: Record
    files: Mapping[str, bytes] = field(default_factory=dict)

    def written(self, out: "Sink") -> Record:
        """Write the files, and say so in the record."""
        for path, data in self.files.items():
            out.put(path, data)
        sizes = {path: len(data) for path, data in self.files.items()}
        return replace(self.record, outputs={**self.record.outputs, **sizes})


class Sink(Protocol):
    """Where files go."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole.

        Raises:
            OSError: if it cannot be written.
        """


class Worker(Protocol):
    """What one process does with items.

    Any method may raise a ``ValueError``, which means that an item is at fault. Anything else ends
    the run.
    """

    def load(self, item: Item) -> Any:
        """Read what an item is made of. ``Finished`` if there is nothing left to do.

        Raises:
            OSError: if it cannot be read, which is the item's fault here.
        """

    def group(self, loaded: Any) -> Hashable:
        """What the items of one batch must have in common."""

    def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
        """What a model makes of loaded items; for one that overlaps with the others."""

    def finish(self, loaded: Any, predicted: Any) -> Finished:
        """Turn a prediction into files and a record; may be called in another thread."""


class Recipe(Protocol):
    """How a worker is made; it can be pickled, and is small."""

    def worker(self, device: str | None) -> Worker:
        """A worker.

        Args:
            device: where its model computes; None is what the job says.
        """

    @property
    def overlaps(self) -> bool:
        """Whether reading, predicting and finishing are worth to be done side by side."""


@dataclass(frozen=True)
class Places:
    """Where a run writes, and what it must not touch.

    Attributes:
        top: folder of the run: its lock, its journal, and all that records list.
        folders: within ``top``, those in which only the run writes.
        kinds: suffixes of what it writes there.
        files: other files that are written.
        others: other folders in which files are written.
        cleared: of these, those in which no other run writes, but where it does not matter who has
            written what is there.
        named: of the files that are written there, those of this run; looked through once.
        listed: that of them which files lie in that records list; ``top`` if None.
        read: files and folders that must stay as they are.
        searched: folders of which all files are read.
    """

    top: Path
    folders: Sequence[str] = ()
    kinds: Sequence[str] = ()
    files: Sequence[Path] = ()
    others: Sequence[Path | None] = ()
    cleared: Sequence[Path] = ()
    named: Iterable[Path] = ()
    listed: Path | None = None
    read: Any = ()
    searched: Sequence[Path] = ()


class Job(Protocol):
    """Work on many items."""

    @property
    def keys(self) -> Keys:
        """Of the items."""

    @property
    def keeps_others(self) -> bool:
        """Whether results of items that are not of this run stay where they are."""

    def places(self) -> Places:
        """Where it writes and reads."""

    def settings(self) -> dict[str, Any]:
        """Everything that results depend on, as JSON values; known without loading a model."""

    def item(self, number: int, known: Record | None) -> Item | Record | None:
        """An item to be done.

        Args:
            number: of its key.
            known: its record of an earlier run, if there is any.

        Returns:
            None if it is done; a record if it is, but what is known of it should be that, so that
            the next run sees it at a glance.

        Raises:
            ValueError: if its results would replace those of something else.
        """

    def recipe(self) -> Recipe:
        """How workers are made."""

    def sink(self) -> Sink:
        """Where the files of items go."""

    def conclude(self, journal: Journal) -> None:
        """Write what comes of all records, once they are complete."""
