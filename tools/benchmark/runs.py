"""What the engine of long runs costs: memory, time over a bare loop, time to find nothing to do.

Generated images, by default of 32x32 pixels, and a cheap edge model, so that the engine is most of
the work. Each line is of the best of some rounds, in which all are measured in turn.

    python tools/benchmark/runs.py edges --images 1000 100000
    python tools/benchmark/runs.py panoptic --images 1000 100000
    python tools/benchmark/runs.py edges --images 5000 --workers 0 --side 32 128 256 --rounds 3
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import load_image, walk_images, write_atomically
from trace_mm.files.png import encode_png
from trace_mm.jobs.edge_files import edges_to_8_bit
from trace_mm.structures import edges_of

ROOT = Path(__file__).parents[2]
A_FOLDER = 1000  # images
DIFFERENT = 50  # images, of which the others are copies
SQUARE = 8  # pixels a side


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes:
        seconds: of wall time.
        computing: seconds of all cores, also of its workers.
        memory: peak of the process in MB.
        worker_memory: that of the largest of its workers; 0 if it has none.
    """

    seconds: float
    computing: float
    memory: float
    worker_memory: float


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["edges", "panoptic"])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 100000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--side", type=int, nargs="+", default=[32], help="pixels; of 8 a square")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/runs"))
    return parser


def main() -> int:
    """Run the benchmark."""
    if sys.argv[1:2] == ["measured"]:  # a process that this has started
        return measured(sys.argv[2:])
    options = make_parser().parse_args()
    print(
        f"{'images':>8} {'side':>5} {'':10} {'images/s':>9} {'of bare':>8} {'us more':>8} "
        f"{'CPU us':>7} {'more':>6} {'MB':>6} {'worker MB':>10} again"
    )
    for side in options.side:
        for count in options.images:
            data = options.work_dir / f"{count}"
            write_images(data, count, side)
            measure_all(options, data, count, side)
            shutil.rmtree(data)
    return 0


def measure_all(options: Any, data: Path, count: int, side: int) -> None:
    """Measure the bare loop and all numbers of workers in turn, and print the best of each."""
    first: dict[int | None, list[Cost]] = {}
    again: dict[int | None, list[Cost]] = {}
    for _ in range(options.rounds):
        for workers in (None, *options.workers):
            bare = ["bare", str(data / "images"), str(data / "bare")]
            arguments = bare if workers is None else command(options.job, data, workers)
            for folder in ("out", "bare"):
                shutil.rmtree(data / folder, ignore_errors=True)
            first.setdefault(workers, []).append(measure(arguments))
            if workers is not None:
                again.setdefault(workers, []).append(measure(arguments))
    for workers, costs in first.items():
        name = "bare loop" if workers is None else f"{workers} workers"
        later = best(again[workers]) if workers in again else None
        report(f"{count:8} {side:5} {name:10}", count, best(costs), best(first[None]), later)


def best(costs: list[Cost]) -> Cost:
    """The least of each."""
    return Cost(*map(min, zip(*map(astuple, costs), strict=True)))


def report(name: str, count: int, cost: Cost, bare: Cost, again: Cost | None) -> None:
    """A line of the table."""
    more, computed, bare_computed = (
        1e6 / count * seconds  # microseconds an image
        for seconds in (cost.seconds - bare.seconds, cost.computing, bare.computing)
    )
    later = "" if again is None else f"{again.seconds:5.1f} s, {again.computing:.1f} s of CPU"
    print(
        f"{name} {count / cost.seconds:9.1f} {bare.seconds / cost.seconds:8.2f} {more:8.0f} "
        f"{computed:7.0f} {computed - bare_computed:6.0f} {cost.memory:6.0f} "
        f"{cost.worker_memory:10.0f} {later}",
        flush=True,
    )


def write_images(data: Path, count: int, side: int) -> None:
    """Images of squares, their semantic maps, and the files that jobs need."""
    shutil.rmtree(data, ignore_errors=True)
    rng = np.random.default_rng(0)
    squares = side // SQUARE
    coarse = rng.integers(0, 255, (DIFFERENT, squares, squares, 3), dtype=np.uint8)
    images = coarse.repeat(SQUARE, 1).repeat(SQUARE, 2)  # (N, side, side, 3)
    pictures = [encode(image) for image in images]
    maps = [encode((image[:, :, 0] > 128).astype(np.uint8)) for image in images]
    for number in range(count):
        name = f"{number // A_FOLDER:05d}/{number:07d}.png"
        for kind, contents in (("images", pictures), ("semantic", maps)):
            path = data / kind / name
            if number % A_FOLDER == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(contents[number % DIFFERENT])
    (data / "sobel.py").write_text("model = dict(type='SobelDetector')\n")
    classes = {"thing_classes": ["object"], "stuff_classes": ["background"]}
    (data / "classes.json").write_text(json.dumps(classes))
    os.sync()  # so that the first to be measured does not wait for these files


def encode(pixels: np.ndarray) -> bytes:
    """The PNG of an image."""
    data: bytes = cv2.imencode(".png", pixels)[1].tobytes()
    return data


def command(job: str, data: Path, workers: int) -> list[str]:
    """The arguments of ``trace-mm``."""
    images, out = str(data / "images"), str(data / "out")
    given = [images] if job == "edges" else ["--images", images]
    if job == "panoptic":
        given += ["--semantic", str(data / "semantic"), "--classes", str(data / "classes.json")]
    model = ["--model", str(data / "sobel.py")]
    return [
        job,
        *given,
        "--out",
        out,
        *model,
        *(["--workers", str(workers)] if workers else []),
        "--quiet",
    ]


def measure(arguments: list[str]) -> Cost:
    """What a process costs that does something with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, __file__, "measured", *arguments]
    result = subprocess.run(line, env=environment, stdout=subprocess.PIPE, check=True)
    return Cost(*json.loads(result.stdout.splitlines()[-1]))


def measured(arguments: list[str]) -> int:
    """Do something and print what it cost."""
    work = prepare(arguments)
    before, start = sum(os.times()[:4]), time.perf_counter()
    work()
    seconds, computing = time.perf_counter() - start, sum(os.times()[:4]) - before
    peaks = [
        resource.getrusage(who).ru_maxrss / 1024  # MB
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    print(json.dumps([seconds, computing, *peaks]))
    return 0


def prepare(arguments: list[str]) -> Callable[[], object]:
    """What is to be measured, with all that it imports."""
    from trace_mm.apis import TraceInferencer
    from trace_mm.cli import main as run

    import_module("trace_mm.apis.folder_run")
    model = TraceInferencer({"type": "SobelDetector"}, device="cpu")
    if arguments[0] == "bare":
        return lambda: bare_loop(model, Path(arguments[1]), Path(arguments[2]))
    return lambda: run(arguments)


def bare_loop(model: Any, images: Path, out: Path) -> None:
    """Edges of images without any engine: read, predict, encode, write whole."""
    for path in walk_images(images):
        edges = edges_of(model.predict_images([load_image(path)])[0])
        target = out / path.relative_to(images).with_suffix(".png")
        write_atomically(target, encode_png(edges_to_8_bit(edges)))


if __name__ == "__main__":
    sys.exit(run_command(main))
