"""What the emergence score of Eq. 1 is made of, over the whole range of timesteps.

For scenes, prints per timestep: the score (KL to the map before, same noise), the score with the
map before under other noise, the KL between two draws of noise at one timestep, the score per
squared step of log signal-to-noise ratio (App. D, Eq. 16), and the mean row entropy.
"""

import math
import sys

import numpy as np
import torch

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.scenes import render_scene
from trace_mm.models import TraceTeacher
from trace_mm.ops import mean_row_divergence
from trace_mm.runs.progress import watched

TIMESTEPS = tuple(range(0, 1000, 100))


def log_snr(teacher: TraceTeacher, timestep: int) -> float:
    """Logarithm of the signal-to-noise power ratio at a timestep; infinite without noise."""
    one, none = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    signal = teacher.backbone.add_noise(one, none, timestep).item()
    noise = teacher.backbone.add_noise(none, one, timestep).item()
    return 2 * math.log(signal / noise) if noise > 0 else math.inf


def measure(first: list[torch.Tensor], second: list[torch.Tensor]) -> dict[str, list[float]]:
    """Per-timestep figures from the maps (1, N, N) of two draws of noise."""
    count = range(1, len(first))
    return {
        "score": [math.nan] + [mean_row_divergence(first[k - 1], first[k]) for k in count],
        "other noise": [math.nan] + [mean_row_divergence(first[k - 1], second[k]) for k in count],
        "two draws": [mean_row_divergence(a, b) for a, b in zip(first, second, strict=True)],
        "entropy": [float(-(a * a.clamp(min=1e-12).log()).sum(-1).mean().item()) for a in first],
    }


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--model", default="trace-tiny")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    backbone = {"pretrained": options.model}
    draws = [TraceTeacher(backbone, noise_draws=1, size=options.size, seed=k) for k in (0, 1)]
    rows: list[dict[str, list[float]]] = []
    for index in watched(range(options.images)):
        scene = render_scene(1, 1000 + index)  # not among the test scenes
        image = torch.from_numpy(scene.image).permute(2, 0, 1).float() / 255.0
        maps = [[a for _, a, _ in teacher.attention_maps(image, TIMESTEPS)] for teacher in draws]
        rows.append(measure(*maps))
    means = {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}
    levels = np.array([log_snr(draws[0], timestep) for timestep in TIMESTEPS])
    steps = np.concatenate([[math.nan], np.diff(levels)])
    means["score per squared step"] = means["score"] / steps**2
    print("timestep".ljust(24) + "".join(f"{timestep:>9}" for timestep in TIMESTEPS))
    for name, values in means.items():
        print(name.ljust(24) + "".join(f"{value:9.4f}" for value in values))
    peaks = [TIMESTEPS[int(np.nanargmax(row["score"]))] for row in rows]
    print("argmax of the score:", {t: peaks.count(t) for t in sorted(set(peaks))})


if __name__ == "__main__":
    sys.exit(run_command(main))
