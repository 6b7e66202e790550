"""What labels the teacher's edges give (Alg. 2): their shares, and how they fit the true borders.

Scenes of the validation series are read by the teacher of a training config. For each scheme: the
share of pixels that are edge, interior and uncertain; on how many images a class is missing;
precision and recall of the edge labels against the true borders, within the benchmark's tolerance;
and the share of true border pixels that are labelled interior, which a student is taught wrongly.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets import SceneEdgeDataset
from trace_mm.models.model_config import build_model
from trace_mm.ops import PSEUDO_LABELS, pseudo_edges

CONFIGS = Path(__file__).parents[2] / "configs" / "trace"
TOLERANCE = 0.0075  # of the diagonal, as in the benchmark

Labels = NDArray[np.int8]
Borders = NDArray[np.bool_]


def near(mask: Borders, radius: float) -> Borders:
    """Pixels within a distance of a mask (H, W)."""
    if not mask.any():
        return np.zeros_like(mask)
    found: Borders = ndimage.distance_transform_edt(~mask) <= radius
    return found


def counts(labels: Labels, borders: Borders) -> NDArray[np.float64]:
    """Pixels by label (edge, interior, uncertain), hits among edges, borders, found, denied."""
    radius = TOLERANCE * float(np.hypot(*borders.shape))
    edges = labels == 1
    return np.array(
        [
            *(np.sum(labels == value) for value in (1, 0, -1)),
            np.sum(edges & near(borders, radius)),
            borders.sum(),
            np.sum(borders & near(edges, radius)),
            np.sum(borders & (labels == 0)),
            not edges.any(),
            not (labels == 0).any(),
        ],
        dtype=np.float64,
    )


def row(name: str, total: NDArray[np.float64], images: int) -> str:
    """A line of the table, from the sum of :func:`counts` over images."""
    edge, interior, uncertain, hits, borders, found, denied, edgeless, full = total
    pixels = edge + interior + uncertain
    precision, recall = hits / max(edge, 1), found / borders
    score = 2 * precision * recall / max(precision + recall, 1e-9)
    shares = " | ".join(f"{part / pixels:.1%}" for part in (edge, interior, uncertain))
    quality = " | ".join(f"{part:.3f}" for part in (precision, recall, score))
    return (
        f"| {name} | {shares} | {edgeless:.0f}, {full:.0f} of {images} | {quality} | "
        f"{denied / borders:.1%} |"
    )


def teacher_maps(teacher: Any, images: int) -> list[tuple[Tensor, Borders]]:
    """The teacher's edges (1, 1, h, w) and the true borders (H, W) of validation scenes."""
    scenes = SceneEdgeDataset(seed=1, start=1000, length=images)
    maps = []
    for number in range(images):
        item = scenes[number]
        found = teacher.predict([item["inputs"]])[0]
        edges = found.get("token_edges", found.pred_edges)
        maps.append((edges[None, None], item["data_samples"].gt_edges[0]))
    return maps


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--config", type=Path, default=CONFIGS / "trace_trace-tiny_lora64_scenes.py"
    )
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--device", default="cpu")
    return parser


@torch.no_grad()
def main() -> None:
    options = make_parser().parse_args()
    cfg = Config.fromfile(options.config)
    config = cfg.train_dataloader.dataset.pseudo_edges.teacher
    teacher = build_model(config).to(options.device).eval()
    maps = teacher_maps(teacher, options.images)
    print(
        "| labels | edge | interior | uncertain | images without edge, interior | precision | "
        "recall | F | borders called interior |\n|---|---|---|---|---|---|---|---|---|"
    )
    for scheme in PSEUDO_LABELS:
        total = sum(
            counts(pseudo_edges(edges, scheme, borders.shape)[0, 0].numpy(), borders)
            for edges, borders in maps
        )
        print(row(scheme, np.asarray(total), options.images))


if __name__ == "__main__":
    sys.exit(run_command(main))
