"""Train a config's model, as ``trace-mm train`` does."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import trace_mm.registry  # noqa: F401 - mmengine would only warn if the package were missing
from trace_mm.apis.pseudo_edges import fill_from_config
from trace_mm.engine import brief_console, latest_checkpoint
from trace_mm.engine.images_seen import set_images_seen
from trace_mm.engine.runner_config import (
    config_errors,
    read_config,
    set_auto_scale_lr,
    set_launcher,
    set_mixed_precision,
    set_resume,
    set_work_dir,
)


def training_config(
    config: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    *,
    work_dir: str | None = None,
    resume: str | None = None,
    amp: bool = False,
    auto_scale_lr: bool = False,
    launcher: str = "none",
    local_rank: int = 0,
) -> Config:
    """A training config with the changes of a command line.

    Args:
        config: file, or the name of a config of this package.
        options: settings by dotted name; see :func:`trace_mm.engine.runner_config.read_config`.
        work_dir: folder for logs and checkpoints; None is the config's, or work_dirs/<its name>.
        resume: checkpoint to go on from, or "auto" for the latest in the work folder.
        amp: train in bfloat16 where that is safe.
        auto_scale_lr: scale the learning rate with the batch size.
        launcher: "none", "pytorch", "slurm" or "mpi".
        local_rank: see :func:`trace_mm.engine.runner_config.set_launcher`.

    Raises:
        FileNotFoundError: if there is no such config or checkpoint.
        ValueError: if it cannot be read, trains nothing, or an option does not fit it.
    """
    cfg = read_config(config, dict(options or {}))
    if "train_dataloader" not in cfg:
        raise ValueError(f"{config}: it has no train_dataloader: there is nothing to train")
    set_work_dir(cfg, work_dir)
    if amp:
        set_mixed_precision(cfg)
    if auto_scale_lr:
        set_auto_scale_lr(cfg)
    if resume is not None:
        checkpoint = set_resume(cfg, resume)
        print_log(f"resuming from {checkpoint or 'the start'}", level=logging.INFO)
    set_launcher(cfg, launcher, local_rank)
    return cfg


def train(cfg: Config, *, fill_cache: bool = False) -> None:
    """Train, with a screen of log instead of MMEngine's pages.

    Args:
        cfg: of :func:`training_config`; see :func:`trace_mm.engine.images_seen.set_images_seen`
            for what is changed in it.
        fill_cache: first compute the teacher's edges that are missing.

    Raises:
        ValueError: if the config names a class or an argument that there is not.
        KeyboardInterrupt: if a person stops it; says which checkpoint there is.
    """
    scaled = set_images_seen(cfg)
    with brief_console():
        # Strategies such as FSDP need FlexibleRunner, which a config asks for by its name.
        with config_errors(cfg.filename):
            runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
        if scaled:
            print_log(scaled, logger="current", level=logging.INFO)
        if fill_cache:
            summary = fill_from_config(cfg, get_device())
            for line in (*summary.describe(summary.folder), *summary.failed.values()):
                print_log(line, logger="current", level=logging.INFO)
        try:
            runner.train()
        except KeyboardInterrupt:
            found = latest_checkpoint(cfg.work_dir)
            left = f"--resume goes on from {found}" if found else "before the first checkpoint"
            raise KeyboardInterrupt(f"interrupted; {left}") from None
