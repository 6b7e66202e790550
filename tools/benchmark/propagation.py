"""Time and memory of mask propagation, sparse against dense, and how they grow with the grid.

All in one process on the same random masks and edges. The dense algorithm builds the (HW)^2 walk,
squares it log2(steps) times and multiplies once. Memory is the peak of what the process holds above
what it held before (Linux only).
"""

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.ops import propagate_masks, random_walk_laplacian


def random_input(side: int, masks: int) -> tuple[Tensor, Tensor]:
    """Round masks (K, side, side) and edges (side, side) with closed lines and weak noise."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    centers = torch.rand(masks, 2, generator=generator) * side
    distance = torch.hypot(rows - centers[:, 0, None, None], columns - centers[:, 1, None, None])
    radius = side / 6
    lines = ((distance - radius).abs() < 0.7).any(0).float()
    noise = 0.3 * torch.rand(side, side, generator=generator) ** 4
    return distance < 0.6 * radius, torch.maximum(lines, noise)


def propagate_densely(masks: Tensor, edges: Tensor, steps: int) -> Tensor:
    """T^steps (M * (1 - E)) by repeated squaring of the dense walk; steps is a power of two."""
    walk = -random_walk_laplacian(edges).to_dense()
    walk.diagonal().add_(1)
    for _ in range(steps.bit_length() - 1):
        walk = walk @ walk
    seeds = (masks * (1 - edges)).flatten(1)
    return (walk @ seeds.T).T.unflatten(1, edges.shape)


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds and peak memory in MiB of one call."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _status("VmRSS")
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return seconds, (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--masks", type=int, default=10)
    parser.add_argument("--steps", type=int, default=256, help="a power of two")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--dense", type=int, default=64, help="side of the dense one; 0 for none")
    parser.add_argument(
        "--rounds", type=int, default=5, help="of the sparse one; the median counts"
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    propagate_masks(*random_input(16, 2))  # loads what torch loads late
    print(f"{options.masks} masks, {options.steps} steps, {torch.get_num_threads()} threads")
    found: dict[int, tuple[float, float]] = {}
    for side in options.sides:
        masks, edges = random_input(side, options.masks)
        first_time, memory = measure(
            lambda m=masks, e=edges: propagate_masks(m, e, steps=options.steps)
        )
        times: list[float] = []
        for _ in range(options.rounds):
            seconds, _ = measure(
                lambda m=masks, e=edges: propagate_masks(m, e, steps=options.steps)
            )
            times.append(seconds)
        found[side] = sorted(times)[len(times) // 2], memory
        first = options.sides[0]
        print(
            f"sparse {side:4} x {side:<4} {found[side][0]:8.4f} s (the first {first_time:.4f}) "
            f"{memory:8.1f} MiB   "
            f"{found[side][0] / found[first][0]:6.1f} times the time and "
            f"{(side / first) ** 2:5.0f} times the pixels of {first} x {first}"
        )
    if options.dense:
        masks, edges = random_input(options.dense, options.masks)
        reference: list[Tensor] = []
        seconds, memory = measure(
            lambda: reference.append(propagate_densely(masks, edges, options.steps))
        )
        result = propagate_masks(masks, edges, steps=options.steps)
        fast, small = found.get(options.dense) or measure(
            lambda: propagate_masks(masks, edges, steps=options.steps)
        )
        print(
            f"dense  {options.dense:4} x {options.dense:<4} {seconds:8.4f} s {memory:8.1f} MiB   "
            f"{seconds / fast:.0f} times the time of sparse, which needs {small / memory:.1%} of "
            f"the memory; largest difference {(result - reference[0]).abs().max():.1e}"
        )


if __name__ == "__main__":
    sys.exit(run_command(main))
