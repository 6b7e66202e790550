"""``trace-mm train``: train a config's model."""

import argparse
from typing import Any

from trace_mm.commands.config_arguments import add_config, add_launch, launcher


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    train = commands.add_parser(
        "train",
        help="train the one-pass edge model, or Mask2Former, as a config says",
        description="Train a config's model.",
        epilog="In several processes: torchrun --nproc-per-node N -m trace_mm train CONFIG ...",
    )
    add_config(train)
    train.add_argument(
        "--work-dir",
        metavar="DIR",
        help="folder for logs and checkpoints (default: work_dirs/<config name>)",
    )
    train.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint; without a path, from the latest in the work folder, or from "
        "the start if there is none",
    )
    train.add_argument("--amp", action="store_true", help="mixed precision, in bfloat16")
    train.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate from auto_scale_lr.base_batch_size to the real batch size",
    )
    train.add_argument(
        "--fill-cache",
        action="store_true",
        help="first compute the teacher's edges that are missing",
    )
    add_launch(train, "data_root=DIR or train_cfg.max_iters=1000")
    train.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.training import train, training_config
    from trace_mm.runs.spawned import keep_freed_memory

    keep_freed_memory()
    cfg = training_config(
        arguments.config,
        arguments.cfg_options,
        work_dir=arguments.work_dir,
        resume=arguments.resume,
        amp=arguments.amp,
        auto_scale_lr=arguments.auto_scale_lr,
        launcher=launcher(arguments),
        local_rank=arguments.local_rank,
    )
    train(cfg, fill_cache=arguments.fill_cache)
    return 0
