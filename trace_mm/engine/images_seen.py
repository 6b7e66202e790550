"""Schedules that count images seen, so that one GPU trains as long as eight."""

import os
from collections.abc import MutableMapping
from typing import Any

from mmengine.config import Config

_PROCESSES = {
    "pytorch": ("WORLD_SIZE",),
    "slurm": ("SLURM_NTASKS",),
    "mpi": ("OMPI_COMM_WORLD_SIZE",),
}
"""Where launchers tell how many processes there are."""

_SCHEDULER_KEYS = ("begin", "end", "T_max", "total_iters", "step_size")
"""Numbers of iterations among the settings of parameter schedulers."""


def set_images_seen(cfg: Config) -> str:
    """Let a config's training see as many images as with the batch size that it was planned for.

    With ``auto_scale_lr=dict(iterations=True, base_batch_size=16)``, a run of two images an
    iteration takes eight times the iterations: of the training, of its schedules, and between
    validations and checkpoints. With ``enable=True`` as well, MMEngine brings the learning rate to
    an eighth. Schedules of epochs stay: epochs are images seen.

    Args:
        cfg: changed in place; its ``launcher`` must be set.

    Returns:
        What was scaled, for the log; empty if nothing was.

    Raises:
        ValueError: if iterations are to be scaled without ``base_batch_size``.
    """
    settings = cfg.get("auto_scale_lr") or {}
    if not settings.get("iterations"):
        return ""
    if "base_batch_size" not in settings:
        raise ValueError(
            "auto_scale_lr.iterations needs auto_scale_lr.base_batch_size: the batch size of all "
            "processes together that the schedule is for"
        )
    planned: int = settings["base_batch_size"]
    given: int = cfg.train_dataloader.batch_size * processes(cfg.get("launcher", "none"))
    loop = cfg.train_cfg
    if given == planned or "max_iters" not in loop:
        return ""
    before = loop.max_iters
    _scale_schedule(cfg, planned, given)
    rate = (
        "and the learning rate with the images an iteration"
        if settings.get("enable")
        else "but the learning rate stays, without auto_scale_lr.enable"
    )
    return (
        f"the schedule is for {planned} images an iteration, and there are {given}: {before} "
        f"iterations become {loop.max_iters}, so that as many images are seen, {rate}"
    )


def _scale_schedule(cfg: Config, planned: int, given: int) -> None:
    loop = cfg.train_cfg
    _scale(loop, ("max_iters", "val_interval"), planned, given)
    if loop.get("dynamic_intervals"):  # pairs of an iteration and an interval from there on
        loop.dynamic_intervals = [
            tuple(_scaled(number, planned, given) for number in pair)
            for pair in loop.dynamic_intervals
        ]
    schedulers = cfg.get("param_scheduler") or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if not scheduler.get("by_epoch", True):
            _scale(scheduler, _SCHEDULER_KEYS, planned, given)
            if "milestones" in scheduler:
                scheduler.milestones = [_scaled(n, planned, given) for n in scheduler.milestones]
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    if not checkpoint.get("by_epoch", True):
        _scale(checkpoint, ("interval",), planned, given)
    for hook in cfg.get("custom_hooks") or []:
        _scale(hook, ("iterations",), planned, given)  # of DecoderFirstHook


def processes(launcher: str) -> int:
    """How many processes a launcher has started, as its environment says; 1 if it does not."""
    for name in _PROCESSES.get(launcher, ()):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 1


def _scale(
    settings: MutableMapping[str, Any], names: tuple[str, ...], planned: int, given: int
) -> None:
    """Scale those of settings that are numbers of iterations; words and infinity stay."""
    for name in names:
        if isinstance(settings.get(name), int) and not isinstance(settings[name], bool):
            settings[name] = _scaled(settings[name], planned, given)


def _scaled(iterations: int, planned: int, given: int) -> int:
    """As many images in iterations of another size, rounded up; none stays none."""
    return -(-iterations * planned // given)
