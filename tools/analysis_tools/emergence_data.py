"""Emergence scores (Eq. 1) of many images: stored ones, or computed from a config."""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import read_config
from trace_mm.models import TraceTeacher
from trace_mm.ops import DIVERGENCES, mean_row_divergence
from trace_mm.registry import DATASETS, MODELS
from trace_mm.runs.progress import watched

DEFAULT_KINDS = ("kl", "js", "l2", "l1")  # the paper's Table 4


@dataclass(frozen=True)
class EmergenceData:
    """Scores of images.

    Attributes:
        timesteps: those that have a score: all but the first.
        scores: (images, timesteps) by divergence.
        image_ids: of the images, where a dataset has them.
    """

    timesteps: list[int]
    scores: dict[str, np.ndarray]
    image_ids: tuple[Any, ...] = ()

    def chosen(self) -> dict[str, list[int]]:
        """The emergence point t* of each image, by divergence."""
        return {
            kind: [self.timesteps[index] for index in table.argmax(axis=1)]
            for kind, table in self.scores.items()
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the tools that draw such scores have in common."""
    parser.add_argument(
        "source",
        help="config with a TraceTeacher and a test dataset, or a folder that "
        "tools/benchmark/teacher_boundaries.py has written",
    )
    parser.add_argument("--out", required=True, help="figure to write: .png, .svg or .pdf")
    parser.add_argument(
        "--divergences",
        nargs="+",
        choices=list(DIVERGENCES),
        metavar="NAME",
        help=f"which, of {', '.join(DIVERGENCES)}; default: {', '.join(DEFAULT_KINDS)}",
    )
    parser.add_argument("--images", type=int, help="only the first images")
    parser.add_argument(
        "--timesteps", type=int, nargs="+", help="of the search, with a config; default: its own"
    )
    add_config_options(parser)


def read_data(options: argparse.Namespace) -> EmergenceData:
    """The scores that the command line asks for.

    Raises:
        FileNotFoundError: if there is no such config or folder, or the folder has no scores.
        ValueError: if the config has no teacher, or stored scores are of other divergences.
    """
    if options.images is not None and options.images < 1:
        raise ValueError(f"--images must be at least 1, got {options.images}")
    kinds = options.divergences or DEFAULT_KINDS
    folder = Path(options.source)
    if folder.is_dir():
        return read_stored(folder, kinds, options.images)
    return compute(options, kinds)


def read_stored(folder: Path, kinds: tuple[str, ...], limit: int | None = None) -> EmergenceData:
    """Scores from the ``.npz`` files of ``teacher_boundaries.py``."""
    paths = sorted(folder.glob("*.npz"))[:limit]
    if not paths:
        raise FileNotFoundError(f"{folder}: no .npz files of teacher_boundaries.py")
    first, tables = None, []
    for path in paths:
        with np.load(path) as stored:
            if not {"scores", "divergences", "timesteps"} <= set(stored.files):
                raise ValueError(f"{path}: holds no scores, divergences and timesteps")
            found = stored["divergences"].tolist(), stored["timesteps"].tolist()
            table = stored["scores"]
        if first not in (None, found) or table.shape != (len(found[0]), len(found[1]) - 1):
            raise ValueError(f"{path}: its scores are of other timesteps or divergences")
        first = found
        tables.append(table)
    names, steps = first
    missing = sorted(set(kinds) - set(names))
    if missing:
        raise ValueError(f"{folder} has scores of {', '.join(names)}, not {missing[0]}")
    rows = np.stack(tables)  # (images, divergences, timesteps)
    return EmergenceData(steps[1:], {kind: rows[:, names.index(kind)] for kind in kinds})


@torch.no_grad()
def compute(options: argparse.Namespace, kinds: tuple[str, ...]) -> EmergenceData:
    """Scores of the first images of a config's test dataset."""
    cfg = read_config(options.source, options.cfg_options)
    teacher = MODELS.build(cfg.model)
    if not isinstance(teacher, TraceTeacher):
        raise ValueError(f"{options.source}: scores need a TraceTeacher, got {cfg.model.type}")
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    timesteps = sorted(options.timesteps or teacher.timesteps)
    if len(timesteps) < 2:
        raise ValueError("a score compares two timesteps: give at least two")
    rows: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    image_ids = []
    for index in watched(range(min(len(dataset), options.images or len(dataset)))):
        steps: dict[str, list[float]] = {kind: [] for kind in kinds}
        item = dataset[index]
        image_ids.append(item["data_samples"].image_id)
        maps = teacher.attention_maps(item["inputs"], timesteps, item["data_samples"])
        for (_, before, _), (_, after, _) in pairwise(maps):
            for kind in kinds:
                steps[kind].append(mean_row_divergence(before, after, kind))
        for kind in kinds:
            rows[kind].append(steps[kind])
    scores = {kind: np.array(rows[kind]) for kind in kinds}
    return EmergenceData(timesteps[1:], scores, tuple(image_ids))
