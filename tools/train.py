"""Train a config's model."""

import argparse
import logging
import sys

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import trace_mm.registry  # noqa: F401 - mmengine would only warn if the package were missing
from trace_mm.apis.pseudo_edges import fill_from_config
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine import brief_console, latest_checkpoint
from trace_mm.engine.runner_config import (
    config_errors,
    read_config,
    set_auto_scale_lr,
    set_launcher,
    set_mixed_precision,
    set_resume,
    set_work_dir,
)
from trace_mm.runs.group import leave_group


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("config", help="training config file")
    parser.add_argument(
        "--work-dir", help="folder for logs and checkpoints; default: work_dirs/<config name>"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint; without a path, from the latest in the work folder, or from "
        "the start if there is none",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision, in bfloat16")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate from auto_scale_lr.base_batch_size to the real batch size",
    )
    parser.add_argument(
        "--fill-cache",
        action="store_true",
        help="first compute the teacher's edges that are missing, as tools/cache_pseudo_edges.py "
        "does",
    )
    add_config_options(parser, ", such as data_root=DIR or train_cfg.max_iters=1000")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def build_config(args: argparse.Namespace) -> Config:
    """The config file with the command line's changes."""
    cfg = read_config(args.config, args.cfg_options)
    set_work_dir(cfg, args.work_dir)
    if args.amp:
        set_mixed_precision(cfg)
    if args.auto_scale_lr:
        set_auto_scale_lr(cfg)
    if args.resume is not None:
        checkpoint = set_resume(cfg, args.resume)
        print_log(f"resuming from {checkpoint or 'the start'}", level=logging.INFO)
    set_launcher(cfg, args.launcher, args.local_rank)
    return cfg


def main() -> None:
    args = make_parser().parse_args()
    cfg = build_config(args)
    with brief_console():
        # Strategies such as FSDP need FlexibleRunner, which a config asks for by its name.
        with config_errors(args.config):
            runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
        if args.fill_cache:
            summary = fill_from_config(cfg, get_device())
            for line in (*summary.describe(summary.folder), *summary.failed.values()):
                print_log(line, logger="current", level=logging.INFO)
        try:
            runner.train()
        except KeyboardInterrupt:
            found = latest_checkpoint(cfg.work_dir)
            left = f"--resume goes on from {found}" if found else "before the first checkpoint"
            raise KeyboardInterrupt(f"interrupted; {left}") from None


if __name__ == "__main__":
    status = run_command(main)
    leave_group(status)
    sys.exit(status)
