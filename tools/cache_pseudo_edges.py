"""Compute the teacher's edges of a config's training images once, before training.

Run it again after an interruption: it goes on where it stopped.
"""

import argparse
import sys

from trace_mm.apis.pseudo_edges import fill_from_config, pack_from_config
from trace_mm.commands.arguments import named_device, positive
from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.commands.config_options import add_config_options
from trace_mm.commands.executors import add_executor_arguments, build_executor
from trace_mm.engine.runner_config import read_config
from trace_mm.runs.group import is_leader, leave_group


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXIT_STATUS,
    )
    parser.add_argument("config", help="training config file")
    parser.add_argument(
        "--device", help="such as cuda:1; default: a GPU for each process, if there is any"
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
    parser.add_argument("--batch-size", type=positive, default=1, metavar="N")
    parser.add_argument(
        "--pack",
        action="store_true",
        help="then move all entries of this teacher from files into shards, which are easier on "
        "file systems and can be read from a store",
    )
    add_executor_arguments(parser)
    add_config_options(parser, "; give the same to tools/train.py")
    return parser


def main() -> int:
    args = make_parser().parse_args()
    chosen = {
        "train_dataloader.dataset.limit": args.limit,
        "train_dataloader.dataset.per_class": args.images_per_class,
    }
    options = {name: number for name, number in chosen.items() if number is not None}
    cfg = read_config(args.config, {**args.cfg_options, **options})
    executor = build_executor(args)
    device, elsewhere = named_device(args)
    summary = fill_from_config(
        cfg, device, elsewhere=elsewhere, executor=executor, batch_size=args.batch_size
    )
    status = summary.report(summary.folder)
    if is_leader():
        if args.pack:
            print(pack_from_config(cfg))
        if options:
            settings = " ".join(f"{name}={number}" for name, number in options.items())
            print(f"train on the same: tools/train.py {args.config} --cfg-options {settings}")
    return status


if __name__ == "__main__":
    status = run_command(main)
    leave_group(status)
    sys.exit(status)
