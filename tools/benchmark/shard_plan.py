"""What a run over a billion images takes, and what breaks first: image by image, and by shards.

Small samples are measured and multiplied: the lines of a journal, the memory of its index, what a
tar adds, and how long a restart needs to find out what is done. Images one by one are in a journal.
Of a shard, nothing is recorded: what is done is found by asking for each result, or by a list.

    python tools/benchmark/shard_plan.py
    python tools/benchmark/shard_plan.py --request-ms 30
    python tools/benchmark/shard_plan.py --store s3://bucket/folder
"""

import math
import tempfile
import time
import tracemalloc
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files.brace_names import BraceNames
from trace_mm.files.shards import ShardWriter
from trace_mm.files.stores import list_files, put_bytes, state_of
from trace_mm.runs.journal import Journal, JournalPart
from trace_mm.runs.packed import Keys, PackedStrings
from trace_mm.runs.records import Record

PAGE = 1000  # names that a store gives for one request
GB, HOUR = 1e9, 3600.0


@dataclass(frozen=True)
class Costs:
    """What an image or a shard costs.

    Attributes:
        journal: bytes on disk.
        memory: bytes in the process that hands out the work.
        ask: seconds to find out whether it is done.
        list: seconds to find that out from a list; NaN if it cannot be.
    """

    journal: float
    memory: float
    ask: float
    list: float


# What one run may take, in the units of the table, and whether it grows with the images.
LIMITS = {
    "journal": (100 * GB, True),
    "memory of the driver": (16 * GB, True),
    "restart by one process": (HOUR, True),
    "lost by the kill of a worker": (HOUR, False),
    "size of a result": (5 * GB, False),  # what a store takes by one request
}


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10**9)
    parser.add_argument("--images-per-shard", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=0.1, help="of a worker, for an image")
    parser.add_argument("--result-bytes", type=int, default=30_000, help="of an image")
    parser.add_argument("--workers", type=int, default=64, help="that compute, and ask the store")
    parser.add_argument("--sample", type=int, default=1000, help="shards to measure with")
    parser.add_argument("--store", help="folder or address to measure with; default: a local one")
    parser.add_argument(
        "--request-ms", type=float, help="of the store, instead of what is measured with --store"
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        by_image = image_costs(Path(folder, "images"), 20 * options.sample)
        overhead = tar_overhead(Path(folder, "a.tar"))
        if options.request_ms is not None:
            seconds = options.request_ms / 1000
            by_shard = Costs(0, 0, seconds, seconds / PAGE)
        else:
            store = options.store or str(Path(folder, "shards"))
            by_shard = shard_costs(store, options.sample)
    years = options.images * options.seconds / HOUR / 24 / 365
    print(
        f"{options.images:,} images of {options.seconds:g} s: {years:.1f} years of one worker, "
        f"{365 * years / options.workers:.1f} days of {options.workers}\n"
        f"{1e3 * by_image.ask:.2f} ms an image, {1e3 * by_shard.ask:.2f} ms a shard asked for, "
        f"{1e3 * by_shard.list:.3f} ms a shard listed; a tar adds {overhead:.0f} bytes to a file\n"
    )
    columns = {"images one by one": quantities(options, by_image, 1, options.result_bytes)}
    for count in options.images_per_shard:
        size = count * (options.result_bytes + overhead)
        columns[f"shards of {count:,}"] = quantities(options, by_shard, count, size)
    print_table(columns)
    print()
    for name, values in columns.items():
        print(f"{name}: {first_to_break(values, options.images)}")


def image_costs(folder: Path, count: int) -> Costs:
    """Of images one by one: a journal is read, and each image and result is looked for."""
    folder.mkdir()
    names = [f"n{number // 1300:08d}/n{number:08d}_{number:05d}" for number in range(count)]
    paths = [f"/data/imagenet/train/{name}.JPEG" for name in names]
    present = folder / "present"
    present.touch()
    journal = folder / "manifest.jsonl"
    with JournalPart(journal, 0, {}) as part:
        for name, path in zip(names, paths, strict=True):
            state = {"path": path, "size": 123456, "modified": 1_700_000_000_000_000_000}
            record = Record(name, {**state, "sha256": "0" * 64}, {f"edges/{name}.png": 34567})
            part.add(record)
    size = sum(file.stat().st_size for file in folder.glob("*.jsonl"))
    tracemalloc.start()
    kept = PackedStrings(paths), Journal(journal, {}, Keys(names))
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    kept[1].close()
    start = time.perf_counter()
    with Journal(journal, {}, Keys(names)) as known:
        for number in range(count):
            assert known.record(number) is not None
            for _ in ("image", "result"):
                present.stat()
    seconds = (time.perf_counter() - start) / count
    return Costs(size / count, memory / count, seconds, math.nan)


def shard_costs(store: str, count: int) -> Costs:
    """Of shards: the state of each result is asked for, or all are listed and their names held."""
    names = BraceNames(f"{store}/{{000000..{count - 1:06d}}}.tar")
    for name in names:
        put_bytes(name, b"shard")
    start = time.perf_counter()
    for name in names:
        assert state_of(name) is not None
    ask = (time.perf_counter() - start) / count
    start = time.perf_counter()
    assert len(list_files(store)) >= count
    listed = (time.perf_counter() - start) / count
    tracemalloc.start()
    held = set(list_files(store))  # as a run holds those that are there
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held
    return Costs(0, memory / count, ask, listed)


def tar_overhead(path: Path) -> float:
    """Bytes that a tar adds to a sample of one file."""
    count, size = 1000, 30_000
    with ShardWriter(path) as shard:
        for number in range(count):
            shard.add(f"n01440764/n01440764_{number:05d}", {"png": bytes(size)})
    return path.stat().st_size / count - size


def quantities(options: Namespace, costs: Costs, images: int, size: float) -> dict[str, float]:
    """What a run takes, by name.

    Args:
        options: of the command line.
        costs: of an image or a shard.
        images: in it.
        size: bytes of its result.
    """
    results = -(-options.images // images)
    # A journal is read by one process.
    askers = options.workers if costs.journal == 0 else math.nan
    return {
        "results": results,
        "size of a result": size,
        "journal": results * costs.journal,
        "memory of the driver": results * costs.memory,
        "pages of a list": -(-results // PAGE),
        "restart by one process": results * costs.ask,
        "restart by all workers": results * costs.ask / askers,
        "restart by a list": results * costs.list,
        "lost by the kill of a worker": images * options.seconds,
        "results a second": options.workers / (images * options.seconds),
    }


def print_table(columns: dict[str, dict[str, float]]) -> None:
    """A row a quantity, a column a way to do it, in Markdown."""
    print("| |", " | ".join(columns), "|")
    print("|---" * (1 + len(columns)) + "|")
    for name in next(iter(columns.values())):
        cells = [shown(name, values[name]) for values in columns.values()]
        print("|", name, "|", " | ".join(cells), "|")


def shown(name: str, value: float) -> str:
    """A value with its unit, to three digits."""
    if math.isnan(value):
        return "-"
    if name.startswith(("results", "pages")):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    steps = [(GB, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")]
    if name.startswith(("restart", "lost")):
        steps = [(24 * HOUR, "days"), (HOUR, "h"), (60, "min"), (1, "s")]
    unit, suffix = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{value / unit:.3g} {suffix}"


def first_to_break(values: dict[str, float], images: int) -> str:
    """Which limit is met first as the images grow in number, and which are passed already."""
    most = {
        name: images * limit / values[name]
        for name, (limit, grows) in LIMITS.items()
        if grows and values[name] > 0
    }
    name = min(most, key=lambda name: most[name])
    passed = [limited for limited, (limit, _) in LIMITS.items() if values[limited] > limit]
    return (
        f"{name} reaches {shown(name, LIMITS[name][0])} first, at {most[name] / 1e6:,.0f} million "
        f"images; of {images / 1e6:,.0f} million too much: {', '.join(passed) or 'nothing'}"
    )


if __name__ == "__main__":
    run_command(main)
