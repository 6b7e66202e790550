"""Score a config's model on the config's benchmark, as ``trace-mm test`` does."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import trace_mm.registry  # noqa: F401 - mmengine would only warn if the package were missing
from trace_mm.engine import EdgeFolderHook
from trace_mm.engine.runner_config import (
    config_errors,
    read_config,
    set_edges,
    set_launcher,
    set_predicting_model,
    set_trained_dtype,
    set_trained_student,
    set_work_dir,
)
from trace_mm.files import check_outputs


def testing_config(
    config: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    checkpoint: str | None = None,
    *,
    work_dir: str | None = None,
    out: str | None = None,
    show_dir: str | None = None,
    edges: str | None = None,
    edges_from: str | None = None,
    launcher: str = "none",
    local_rank: int = 0,
) -> Config:
    """A test config with the changes of a command line.

    Args:
        config: file, or the name of a config of this package.
        options: settings by dotted name; see :func:`trace_mm.engine.runner_config.read_config`.
        checkpoint: file of the model, for models that have one.
        work_dir: folder for logs; None is the config's, or work_dirs/<its name>.
        out: JSON file for the scores.
        show_dir: folder for a picture of each image.
        edges: folder of edge maps to take instead of the model's.
        edges_from: where edges come from instead, in one word; see
            :func:`trace_mm.models.edges_from.edges_from`.
        launcher: "none", "pytorch", "slurm" or "mpi".
        local_rank: see :func:`trace_mm.engine.runner_config.set_launcher`.

    Raises:
        FileNotFoundError: if the config or the checkpoint does not exist.
        ValueError: if an option does not fit the config's model, or something would be written
            onto what is read.
    """
    with config_errors(config):
        cfg = read_config(config, dict(options or {}))
        set_work_dir(cfg, work_dir)
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise FileNotFoundError(f"{checkpoint}: no such checkpoint")
        if not set_trained_student(cfg, checkpoint) and checkpoint is not None:
            cfg.load_from = checkpoint
            set_trained_dtype(cfg, checkpoint)
        if edges is not None and edges_from is not None:
            raise ValueError("--edges and --edges-from both say where edges come from")
        if edges is not None:
            set_edges(cfg, {"type": "EdgeFolder", "folder": edges})
        if edges_from is not None:
            set_edges(cfg, {"type": "EdgesFrom", "source": edges_from})
        if out is not None:
            if isinstance(cfg.test_evaluator, list):
                raise ValueError("--out is for configs with one test_evaluator, not a list of them")
            cfg.test_evaluator.out_file = out
        if show_dir is not None:
            _set_show_dir(cfg, show_dir)
        if launcher != "none":
            set_predicting_model(cfg)
        set_launcher(cfg, launcher, local_rank)
        files, folders = _read_by(cfg.test_dataloader.dataset)
    check_outputs(
        files=[out],
        folders=[show_dir],
        read=[checkpoint, *files],
        searched=[edges, _folder(edges_from), *folders],
    )
    return cfg


def score_model(cfg: Config) -> dict[str, float] | None:
    """Scores of a config's model by their names; None in other processes than the leading one.

    Args:
        cfg: of :func:`testing_config`.

    Raises:
        ValueError: if the config names a class or an argument that there is not.
    """
    with config_errors(cfg.filename):
        runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    runner.register_hook(EdgeFolderHook())
    scores: dict[str, float] = runner.test()
    return scores if runner.rank == 0 else None


def _folder(source: str | None) -> str | None:
    """Where edges come from, if that is a folder."""
    return source if source is not None and Path(source).is_dir() else None


def _read_by(dataset: Config) -> tuple[list[Path], list[Path]]:
    """Files and folders that the config of a dataset names, with those of what it is made of."""
    root = Path(dataset.get("data_root") or "")
    files: list[Path] = []
    if dataset.get("ann_file"):
        files.append(root / dataset.ann_file)
    folders = [root / folder for folder in dict(dataset.get("data_prefix") or {}).values()]
    if "path" in dataset.get("masks", {}):
        files.append(root / dataset.masks.path)
    if "images" in dataset:
        more = _read_by(dataset.images)
        files, folders = files + more[0], folders + more[1]
    return files, [folder for folder in folders if folder != root]


def _set_show_dir(cfg: Config, folder: str) -> None:
    """Draw all results into a folder: edges and masks, or what mmdet's models find."""
    hook = {"type": "EdgeVisualizationHook", "images": 0, "out_dir": folder}
    if cfg.get("default_scope") == "mmdet":
        kind = "Panoptic" if "panoptic_fusion_head" in cfg.model else "Instance"
        hook = {"type": f"trace_mm.{kind}VisualizationHook", "out_dir": folder}
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
