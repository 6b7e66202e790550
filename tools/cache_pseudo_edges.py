"""Compute the teacher's edges of a config's training images once, before training.

Run it again after an interruption: it goes on where it stopped. Several processes may fill one
cache at the same time; torchrun and srun share the images out between theirs.
"""

import argparse
import os
import sys

import torch

from trace_mm.apis.pseudo_edges import describe_summary, fill_from_config
from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import read_config
from trace_mm.models.devices import check_device

SOME_UNREADABLE = 1


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 all done, 1 some images cannot be read; they are named",
    )
    parser.add_argument("config", help="training config file")
    parser.add_argument(
        "--device", help="such as cuda:1; default: a GPU for each process, else the CPU"
    )
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="of N images only, chosen by their names; the training must be given the same, the "
        "last line says how (default: what the config says)",
    )
    parser.add_argument(
        "--images-per-class",
        type=positive,
        metavar="N",
        help="of N images of each folder only, likewise",
    )
    add_config_options(parser, "; give the same to tools/train.py")
    return parser


def process_place() -> tuple[int, int, int]:
    """Rank, number of processes, and rank on this machine, as torchrun or srun tell them."""
    for names in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ):
        if all(name in os.environ for name in names):
            rank, size, local_rank = (int(os.environ[name]) for name in names)
            return rank, size, local_rank
    return 0, 1, 0


def main() -> int:
    args = make_parser().parse_args()
    chosen = {
        "train_dataloader.dataset.limit": args.limit,
        "train_dataloader.dataset.per_class": args.images_per_class,
    }
    options = {name: number for name, number in chosen.items() if number is not None}
    cfg = read_config(args.config, {**args.cfg_options, **options})
    rank, world_size, local_rank = process_place()
    if args.device is None:
        count = torch.cuda.device_count()
        args.device = f"cuda:{local_rank % count}" if count else "cpu"
    summary = fill_from_config(cfg, check_device(args.device), rank=rank, world_size=world_size)
    print(describe_summary(summary))
    if options:
        settings = " ".join(f"{name}={number}" for name, number in options.items())
        print(f"train on the same images: tools/train.py {args.config} --cfg-options {settings}")
    return SOME_UNREADABLE if summary.unreadable else 0


if __name__ == "__main__":
    sys.exit(run_command(main))
