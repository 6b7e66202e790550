"""Score gradient detectors and a teacher: fixed timesteps, IEP, and divergences.

Reads what ``teacher_boundaries.py`` stored, and prints ODS, OIS, AP and clDice of Canny, Sobel,
ABDiv at each timestep, and ABDiv at t* for each divergence, and the histogram of t*.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from teacher_boundaries import DIVERGENCES

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.evaluation.edge_counts import CountingSettings
from trace_mm.evaluation.edge_scores import EdgeScores, summarize
from trace_mm.ops import normalize_edges, upsample_edges
from trace_mm.registry import DATASETS, MODELS

Stored = dict[str, np.ndarray]


def stored_images(folder: Path) -> list[Stored]:
    """All images of a folder, in order.

    Raises:
        FileNotFoundError: if there is none.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"no .npz files in {folder}; run teacher_boundaries.py first")
    return [dict(np.load(path)) for path in paths]


def emergence_index(stored: Stored, kind: str) -> int:
    """Index of t* among the stored timesteps, for one divergence (Eq. 1)."""
    return 1 + int(stored["scores"][DIVERGENCES.index(kind)].argmax())


def edges_of(stored: Stored, kind: str, index: int, size: tuple[int, int]) -> np.ndarray:
    """The teacher's edge map (H, W) from one stored boundary map."""
    boundary = torch.from_numpy(stored["boundary"][DIVERGENCES.index(kind), index])[None, None]
    edges = upsample_edges(normalize_edges(boundary), size, "bicubic")
    return edges[0, 0].numpy()


def teacher_variants(timesteps: list[int]) -> dict[str, tuple[str, str | int]]:
    """Rows of the table: boundary divergence, and the IEP divergence or a timestep's index."""
    fixed: dict[str, tuple[str, str | int]] = {
        f"ABDiv kl at t={timestep}": ("kl", index) for index, timestep in enumerate(timesteps)
    }
    searched = {f"ABDiv kl at t* (IEP {kind})": ("kl", kind) for kind in DIVERGENCES}
    others = {f"ABDiv {kind} at t* (IEP kl)": (kind, "kl") for kind in DIVERGENCES[1:]}
    return {**fixed, **searched, **others}


def detector_edges(config: dict[str, Any], dataset: Any, count: int) -> Iterator[np.ndarray]:
    """Edge maps of a registered detector."""
    model = MODELS.build(config)
    for index in range(count):
        item = dataset[index]
        yield model([item["inputs"]], [item["data_samples"]])[0].pred_edges.numpy()


def score(
    edges: Iterator[np.ndarray], dataset: Any, tolerances: tuple[float, ...], workers: int
) -> EdgeScores:
    """Scores of edge maps that come in the dataset's order."""
    settings = CountingSettings(tolerances=tolerances)
    with CountingPool(settings, workers) as pool:
        for index, found in enumerate(edges):
            pool.submit(found, dataset[index]["data_samples"].gt_edges)
        return summarize(pool.results(), settings)


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="a config under configs/_base_/datasets")
    parser.add_argument("stored", type=Path, help="folder from teacher_boundaries.py")
    parser.add_argument("--data-root", help="of the dataset, where it reads files")
    parser.add_argument("--out", type=Path, help="JSON file for all scores")
    parser.add_argument("--rows", nargs="+", help="only rows that contain one of these texts")
    parser.add_argument(
        "--tolerances", type=float, nargs="+", default=[0.0075], help="the first is the main one"
    )
    parser.add_argument("--workers", type=int, default=2)
    return parser


def main() -> None:
    options = make_parser().parse_args()
    settings = Config.fromfile(options.dataset).test_dataloader.dataset
    if options.data_root:
        settings.data_root = options.data_root
    dataset = DATASETS.build(settings)
    stored = stored_images(options.stored)
    timesteps = stored[0]["timesteps"].tolist()

    rows: dict[str, Any] = {
        "Canny": {"type": "CannyDetector"},
        "Sobel": {"type": "SobelDetector"},
        **teacher_variants(timesteps),
    }
    found: dict[str, EdgeScores] = {}
    print(f"{len(stored)} images, {np.mean([image['seconds'] for image in stored]):.2f} s an image")
    for name, row in rows.items():
        if options.rows and not any(text in name for text in options.rows):
            continue
        if isinstance(row, dict):
            edges = detector_edges(row, dataset, len(stored))
        else:
            kind, choice = row
            edges = (
                edges_of(
                    image,
                    kind,
                    choice if isinstance(choice, int) else emergence_index(image, choice),
                    dataset[number]["data_samples"].gt_edges.shape[1:],
                )
                for number, image in enumerate(stored)
            )
        scores = found[name] = score(edges, dataset, tuple(options.tolerances), options.workers)
        print(
            f"{name:32} ODS {scores.ods:.3f}  OIS {scores.ois:.3f}  AP {scores.ap:.3f}  "
            f"clDice {scores.cldice:.3f}  P {scores.precision:.3f}  R {scores.recall:.3f}  "
            + " ".join(f"{k}: {v:.3f}" for k, v in scores.ods_by_tolerance.items()),
            flush=True,
        )
    histograms = {
        kind: dict(sorted(Counter(timesteps[emergence_index(s, kind)] for s in stored).items()))
        for kind in DIVERGENCES
    }
    mean_scores = np.mean([image["scores"] for image in stored], axis=0)
    for kind, means in zip(DIVERGENCES, mean_scores, strict=True):
        print(f"t* ({kind}): {histograms[kind]}; mean score {np.round(means, 4).tolist()}")
    if options.out:
        content = {name: scores.to_dict() for name, scores in found.items()}
        options.out.write_text(json.dumps({"scores": content, "t_star": histograms}, indent=1))


if __name__ == "__main__":
    sys.exit(run_command(main))
