"""How well edges could be placed on a token grid if attention knew the true segments.

Replaces the model by an oracle: each token attends to the segments that it covers, in proportion,
and evenly within each. What ABDiv of that map scores is the ceiling of a grid.
"""

import sys

import torch
from torch.nn import functional

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import instance_borders, render_scene
from trace_mm.evaluation import evaluate_edges
from trace_mm.ops import attention_boundary_divergence, normalize_edges, upsample_edges


def perfect_attention(ids: torch.Tensor, side: int) -> torch.Tensor:
    """Attention (1, N, N) on a square grid from segment ids (H, W), rows sum to 1."""
    members = functional.one_hot(ids.long()).permute(2, 0, 1).float()  # (K, H, W)
    shares = functional.adaptive_avg_pool2d(members, side).flatten(1)  # (K, N)
    within = shares / shares.sum(1, keepdim=True).clamp(min=1e-6)
    attention = shares.mT @ within + 1e-5  # (N, N); the floor keeps KL finite
    return (attention / attention.sum(1, keepdim=True))[None]


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--grids", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--seed", type=int, default=7, help="of the scenes")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    scenes = [render_scene(options.seed, index) for index in range(options.images)]
    targets = [instance_borders(scene.instance_ids)[None] for scene in scenes]
    for side in options.grids:
        edges = []
        for scene in scenes:
            ids = torch.from_numpy(scene.instance_ids)
            boundary = attention_boundary_divergence(perfect_attention(ids, side), (side, side))
            size = (ids.shape[0], ids.shape[1])
            edges.append(upsample_edges(normalize_edges(boundary), size, "bicubic")[0, 0].numpy())
        scores = evaluate_edges(edges, targets)
        print(f"{side}x{side}: ODS {scores.ods:.3f}  OIS {scores.ois:.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
