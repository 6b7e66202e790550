"""How much faster edges are counted than by the plain way, with the same numbers.

In one process and one thread, both ways count each image of a test config by turns. All counts
must be equal; the exit status is 1 if any is not.

    python tools/benchmark/edge_metric.py
    python tools/benchmark/edge_metric.py configs/edges/sobel_coco-photos.py
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import cv2
import edge_metric_reference
import numpy as np
import torch
from measure import spread

import trace_mm.models  # noqa: F401 - registers what configs name
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import config_errors, read_config
from trace_mm.evaluation import ImageCounts, count_edges
from trace_mm.registry import DATASETS, MODELS

SCENES = Path(__file__).parents[2] / "configs/edges/sobel_scenes.py"
PHOTO_SIZE = [480, 640]


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "config", nargs="?", help="test config; by default, Sobel on drawn scenes of 640x480 pixels"
    )
    parser.add_argument("--images", type=int, default=12, help="so many, spread over the data set")
    add_config_options(parser, ", such as data_root=DIR")
    return parser


def main() -> int:
    """Run the benchmark; the exit status is 0 if all counts are equal."""
    options = make_parser().parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    changes = options.cfg_options
    if options.config is None:
        changes = {"test_dataloader.dataset.size": PHOTO_SIZE, **changes}
    plain, fast, different = [], [], []
    for name, edges, targets in maps(options.config or SCENES, changes, options.images):
        counts, busy = timed(count_edges, edges, targets)
        fast.append(busy)
        expected, busy = timed(edge_metric_reference.count_edges, edges, targets)
        plain.append(busy)
        if not equal(counts, expected):
            different.append(name)
    ratios = [slow / quick for slow, quick in zip(plain, fast, strict=True)]
    print(f"{len(fast)} images, seconds of processor time an image, and quartiles")
    print(f"plain  {np.mean(plain):7.3f}  {spread(plain)}")
    print(f"fast   {np.mean(fast):7.3f}  {spread(fast)}")
    print(f"ratio  {sum(plain) / sum(fast):7.1f}  {spread(ratios)}")
    print(f"DIFFERENT COUNTS: {', '.join(different)}" if different else "all counts are equal")
    return 1 if different else 0


def maps(
    config: str | Path, changes: dict[str, object], images: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, edges (H, W) and true edges (A, H, W) of images spread over a config's data set."""
    cfg = read_config(config, changes)
    with config_errors(config):
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
        model = MODELS.build(cfg.model)
    for index in range(0, len(dataset), max(1, len(dataset) // images))[:images]:
        item = dataset[index]
        with torch.no_grad():
            (sample,) = model([item["inputs"]], [item["data_samples"]], mode="predict")
        yield str(sample.image_id), sample.pred_edges.float().cpu().numpy(), sample.gt_edges


def timed(
    count: Callable[[np.ndarray, np.ndarray], ImageCounts], edges: np.ndarray, targets: np.ndarray
) -> tuple[ImageCounts, float]:
    """Counts, and the seconds of processor time that they took."""
    start = time.process_time()
    counts = count(edges, targets)
    return counts, time.process_time() - start


def equal(one: ImageCounts, other: ImageCounts) -> bool:
    """Whether every count is."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(ImageCounts)
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
