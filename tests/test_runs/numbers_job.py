"""A job on numbers, for tests of the engine: the file of a number holds its square."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from trace_mm.runs.job import Finished, Item, Places
from trace_mm.runs.packed import Keys
from trace_mm.runs.records import Record
from trace_mm.runs.sinks import FolderSink


@dataclass(frozen=True)
class NumbersJob:
    """Squares the numbers that files hold.

    Attributes:
        folder: of the files.
        out: where squares go.
        seed: a setting.
        seconds: that a number takes.
        deadly: the number at which a worker dies.
    """

    folder: Path
    out: Path
    seed: int = 0
    seconds: float = 0
    deadly: int | None = None
    keeps_others: bool = False

    @property
    def keys(self):
        return Keys(sorted(path.stem for path in self.folder.iterdir()))

    def places(self):
        return Places(self.out, ["squares"], searched=[self.folder])

    def settings(self):
        return {"seed": self.seed}

    def item(self, number, known):
        key = self.keys[number]
        state = {"size": (self.folder / f"{key}.txt").stat().st_mtime_ns}
        done = known is not None and known.error is None and known.state == state
        there = done and all((self.out / path).is_file() for path in known.outputs)
        return None if there else Item(key, state, self.folder / f"{key}.txt")

    def recipe(self):
        return NumbersRecipe(self.seconds, self.deadly)

    def sink(self):
        return FolderSink(self.out)

    def conclude(self, journal):
        total = sum(record.result.get("square", 0) for record in journal.records())
        (self.out / "total.txt").write_text(str(total))


@dataclass(frozen=True)
class NumbersRecipe:
    """Makes the worker, which is its own recipe."""

    seconds: float
    deadly: int | None
    overlaps: bool = False

    def worker(self, device):
        return self

    def load(self, item):
        return item, int(item.data.read_text())

    def group(self, loaded):
        return None

    def predict(self, batch):
        time.sleep(self.seconds)
        numbers = [number for _, number in batch]
        if self.deadly in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return [number**2 for number in numbers]

    def finish(self, loaded, square):
        item, _ = loaded
        record = Record(item.key, item.state, result={"square": square})
        return Finished(record, {f"squares/{item.key}.txt": str(square).encode()})
