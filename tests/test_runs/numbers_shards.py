"""Numbers in shards, squared by the worker of :mod:`tests.test_runs.numbers_job`."""

from dataclasses import dataclass

from tests.test_runs.numbers_job import NumbersRecipe
from trace_mm.files.addresses import join_address
from trace_mm.files.shard_names import ShardNames
from trace_mm.files.shards import ShardWriter, read_shard
from trace_mm.runs.job import Item
from trace_mm.runs.records import Record
from trace_mm.runs.shard_run import ShardJob

SHARDS, SAMPLES = 6, 5


@dataclass(frozen=True)
class Text:
    """What stands in for a file."""

    text: str

    def read_text(self):
        return self.text


@dataclass(frozen=True)
class NumberItems:
    """The numbers of shards; those of odd keys may be groups of their own."""

    def items(self, address):
        for sample in read_shard(address):
            if "txt" not in sample.files:
                yield Record(sample.key, error=f"{sample.key}: no number")
            else:
                yield Item(sample.key, {}, Text(sample.files["txt"].decode()))

    def extensions(self, key):
        return {f"squares/{key}.txt": "square.txt"}


def write_numbers(folder, shards=SHARDS, samples=SAMPLES):
    """Shards ``0.tar`` and so on; the keys of ``1.tar`` are ``b/00``, ``b/01`` and so on."""
    for shard in range(shards):
        with ShardWriter(join_address(folder, f"{shard}.tar")) as writer:
            for sample in range(samples):
                number = str(samples * shard + sample).encode()
                writer.add(f"{'abcdefgh'[shard]}/{sample:02d}", {"txt": number})


def numbers_job(folder, out, shards=SHARDS, seed=0, seconds=0.0, deadly=None):
    """Squares of what :func:`write_numbers` wrote."""
    names = ShardNames([f"{folder}/{{0..{shards - 1}}}.tar"])
    return ShardJob(names, str(out), {"seed": seed}, NumbersRecipe(seconds, deadly), NumberItems())
