"""Processor time of imports and short commands, as ratios to ``import torch``.

Each runs in a process of its own, in turn, so that what else runs on the machine meets all alike;
each round gives one difference and one ratio to ``import torch``, of which medians are printed.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from trace_mm.commands.command_line import Parser, run_command

TORCH = "import torch"
CONFIG = """
train_dataloader = dict(
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root="{folder}/images"),
        size=32,
        pseudo_edges=dict(folder="{folder}/cache", teacher=dict(type="SobelDetector")),
    )
)
"""


def processor_seconds(arguments: list[str]) -> float:
    """Processor time of a Python process with these arguments, user and system.

    Raises:
        CalledProcessError: if it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write_inputs(folder: Path) -> None:
    """An image, its mask and its edges, for a refinement that needs no model; a cache's config."""
    (folder / "config.py").write_text(CONFIG.format(folder=folder.as_posix()))
    square = np.zeros((32, 32), np.uint8)
    square[8:24, 8:24] = 1
    for name, pixels in (("images", 255 * square), ("masks", square), ("edges", 0 * square)):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "1.png")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    if options.rounds < 1:
        raise ValueError("--rounds must be at least 1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        refine = ["refine", "--masks", f"{folder}/masks", "--images", f"{folder}/images"]
        refine += ["--edges", f"{folder}/edges", "--out", f"{folder}/out.json", "--overwrite"]
        edges = ["edges", f"{folder}/images", "--out", f"{folder}/out", "--device", "cpu"]
        cache = ["tools/cache_pseudo_edges.py", f"{folder}/config.py", "--device", "cpu"]
        runs = {
            TORCH: ["-c", TORCH],
            "import trace_mm.apis": ["-c", "import trace_mm.apis"],
            "from trace_mm.apis import *": ["-c", "from trace_mm.apis import *"],
            "trace-mm --help": ["-m", "trace_mm.cli", "--help"],
            "trace-mm backbones": ["-m", "trace_mm.cli", "backbones"],
            "trace-mm refine, stored edges": ["-m", "trace_mm.cli", *refine],
            "trace-mm edges, nothing to do": ["-m", "trace_mm.cli", *edges],  # but at first
            "cache_pseudo_edges.py, likewise": cache,
        }
        found: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(options.rounds + 1):
            for name, arguments in runs.items():
                seconds = processor_seconds(arguments)
                if number:  # the first round fills the disk's cache
                    found[name].append(seconds)
    print(f"{'':32} seconds   above torch   times torch")
    for name, times in found.items():
        pairs = list(zip(times, found[TORCH], strict=True))
        above = statistics.median(own - torch for own, torch in pairs)
        ratio = statistics.median(own / torch for own, torch in pairs)
        print(f"{name:32} {statistics.median(times):7.2f} {above:13.2f} {ratio:13.2f}")


if __name__ == "__main__":
    sys.exit(run_command(main))
