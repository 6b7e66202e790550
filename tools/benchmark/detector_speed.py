"""Seconds an image of each detector on a benchmark's images, and as ratios to the student.

All in one process, image by image in turn, so that what else runs on the machine meets them alike.
"""

import statistics
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.diffusion import shipped_models
from trace_mm.models import CannyDetector, SobelDetector, TraceTeacher, build_student
from trace_mm.registry import DATASETS


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="a config under configs/_base_/datasets")
    parser.add_argument("--data-root", help="of the dataset, where it reads files")
    parser.add_argument("--model", default="trace-tiny", choices=shipped_models())
    parser.add_argument("--images", type=int, default=8, help="after one that warms up")
    return parser


@torch.no_grad()
def main() -> None:
    options = make_parser().parse_args()
    settings = Config.fromfile(options.dataset).test_dataloader.dataset
    if options.data_root:
        settings.data_root = options.data_root
    dataset = DATASETS.build(settings)
    backbone = {"pretrained": options.model}
    detectors = {
        "Canny": CannyDetector(sigma=5.0),
        "Sobel": SobelDetector(sigma=4.0),
        "teacher, fixed timestep": TraceTeacher(backbone, timestep=100),
        "teacher, t*": TraceTeacher(backbone),
        "student": build_student(options.model),
    }
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for index in range(options.images + 1):
        image = dataset[index]["inputs"]
        for name, detector in detectors.items():
            start = time.perf_counter()
            detector([image])
            times[name].append(time.perf_counter() - start)
    ratios = {
        name: [own / student for own, student in zip(found, times["student"], strict=True)]
        for name, found in times.items()
    }
    print(f"{options.images} images, {torch.get_num_threads()} threads")
    for name, found in times.items():
        print(
            f"{name:24} {statistics.median(found[1:]):8.4f} s an image, "
            f"{statistics.median(ratios[name][1:]):8.4f} students"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
