"""Read a teacher's boundary strength at every timestep, once, for all later measurements.

For each image of a dataset, stores what ``teacher_scores.py`` needs: the boundary strength of one
view on the token grid for each timestep and divergence (Eq. 2), and the emergence scores (Eq. 1).
Can be killed and run again: images that are there are skipped.
"""

import io
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.files import write_atomically
from trace_mm.models import TraceTeacher
from trace_mm.ops import attention_boundary_divergence, mean_row_divergence, region_attention
from trace_mm.registry import DATASETS
from trace_mm.runs.progress import watched

DIVERGENCES = ("kl", "js", "l2", "l1")


@torch.no_grad()
def read_image(teacher: TraceTeacher, image: torch.Tensor) -> dict[str, np.ndarray]:
    """All that is stored of one image (3, H, W).

    Returns:
        ``boundary`` float32 (divergences, timesteps, h, w), ``scores`` float64 (divergences,
        timesteps - 1), ``divergences`` and ``timesteps``, what these are, and ``seconds``, of the
        forward passes alone.
    """
    start = time.perf_counter()
    maps = list(teacher.attention_maps(image))
    seconds = time.perf_counter() - start
    regions = [
        (region_attention(attention, grid, teacher.region_cell, teacher.walk_steps), grid)
        for _, attention, grid in maps
    ]
    boundary = [
        [
            attention_boundary_divergence(attention, grid, kind)[0, 0].float().cpu().numpy()
            for attention, grid in regions
        ]
        for kind in DIVERGENCES
    ]
    scores = [
        [
            mean_row_divergence(before, after, kind)
            for (_, before, _), (_, after, _) in pairwise(maps)
        ]
        for kind in DIVERGENCES
    ]
    return {
        "boundary": np.array(boundary, dtype=np.float32),
        "scores": np.array(scores),
        "divergences": np.array(DIVERGENCES),
        "timesteps": np.array([timestep for timestep, _, _ in maps]),
        "seconds": np.array(seconds),
    }


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="a config under configs/_base_/datasets")
    parser.add_argument("--data-root", help="of the dataset, where it reads files")
    parser.add_argument("--model", default="trace-tiny", help="shipped name, folder or hub id")
    parser.add_argument("--out", type=Path, required=True, help="folder for one .npz an image")
    parser.add_argument("--limit", type=int, help="only the first images")
    parser.add_argument(
        "--shard",
        type=int,
        nargs=2,
        default=[0, 1],
        metavar=("I", "N"),
        help="every Nth image from image I, for N processes side by side",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--noise-draws", type=int)
    parser.add_argument(
        "--size", type=int, help="side of the square area; the model's if not given"
    )
    parser.add_argument("--layers", help="regular expression of the layers to read")
    parser.add_argument("--region-cell", type=int)
    parser.add_argument("--walk-steps", type=int)
    parser.add_argument("--timesteps", type=int, nargs="+")
    parser.add_argument("--every-timestep", action="store_true", help="0 to 900, whatever is set")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    settings = Config.fromfile(options.dataset).test_dataloader.dataset
    if options.data_root:
        settings.data_root = options.data_root
    dataset = DATASETS.build(settings)
    backbone = {"pretrained": options.model, "device": options.device}
    if options.layers:
        backbone["layers"] = options.layers
    teacher = TraceTeacher(
        backbone,
        timesteps=range(0, 1000, 100) if options.every_timestep else options.timesteps,
        noise_draws=options.noise_draws,
        region_cell=options.region_cell,
        walk_steps=options.walk_steps,
        size=options.size,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    count = min(len(dataset), options.limit or len(dataset))
    for index in watched(range(options.shard[0], count, options.shard[1])):
        path = options.out / f"{index:06d}.npz"
        if path.exists():
            continue
        buffer = io.BytesIO()
        np.savez(buffer, **read_image(teacher, dataset[index]["inputs"]))
        write_atomically(path, buffer.getvalue())


if __name__ == "__main__":
    sys.exit(run_command(main))
