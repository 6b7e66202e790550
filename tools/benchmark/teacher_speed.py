"""Cost of the teacher's steps, as ratios to plain forward passes of the denoiser.

All in one process on one input: the denoiser alone, with attention capture, the whole search, and
the edges at a fixed timestep. Prints the median of several rounds, taken in turn.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.scenes import render_scene
from trace_mm.models import TraceTeacher
from trace_mm.ops import attention_boundary_divergence


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--model", default="trace-tiny")
    parser.add_argument("--size", type=int, default=128, help="side of the square image")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    return parser


@torch.no_grad()
def main() -> None:
    options = make_parser().parse_args()
    backbone = {"pretrained": options.model, "device": options.device}
    search = TraceTeacher(backbone, size=options.size)
    fixed = TraceTeacher(backbone, timestep=100, size=options.size)
    scene = render_scene(0, 0, (options.size, options.size))
    image = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
    latents = search.backbone.encode(image[None])
    grid = search.backbone.grid(latents)
    attention = search.backbone.attention(latents, 100)

    steps: dict[str, Callable[[], object]] = {
        "denoiser alone": lambda: search.backbone.denoise(latents, 100),
        "with attention capture": lambda: search.backbone.attention(latents, 100),
        "ABDiv of one map": lambda: attention_boundary_divergence(attention, grid),
        "edges, fixed timestep": lambda: fixed.predict([image]),
        f"edges, IEP over {len(search.timesteps)} timesteps": lambda: search.predict([image]),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds + 1):
        for name, work in steps.items():
            times[name].append(seconds(work, search.backbone.device))
    reference = statistics.median(times["denoiser alone"][1:])
    print(f"{options.size}x{options.size} pixels, {grid[0]}x{grid[1]} tokens")
    for name, measured in times.items():
        median = statistics.median(measured[1:])  # the first round warms up
        print(f"{name:32} {median * 1000:8.1f} ms  {median / reference:6.2f} x")


if __name__ == "__main__":
    sys.exit(run_command(main))
