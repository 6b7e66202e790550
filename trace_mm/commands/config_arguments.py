"""What command lines take that run a config: its name, its settings, a launcher."""

import argparse
import os
from typing import Any

from trace_mm.commands.config_options import add_config_options
from trace_mm.runs.group import is_launched


class _ListConfigs(argparse.Action):
    """Writes the names of the configs that come with this package, and ends the process."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, 0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        from trace_mm.files.shipped_configs import config_names

        print("\n".join(config_names()))
        parser.exit()


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the config and ``--list``."""
    parser.add_argument(
        "config",
        metavar="CONFIG",
        help="config file, or the name of one that comes with this package, such as "
        "trace_trace-tiny_lora64_folder",
    )
    parser.add_argument(
        "--list",
        action=_ListConfigs,
        help="write the names of the configs of this package",
    )


def add_edges_from(parser: argparse.ArgumentParser) -> None:
    """Add ``--edges-from``."""
    parser.add_argument(
        "--edges-from",
        metavar="VALUE",
        help="take edges from there instead of the config's model: a student (shipped name, "
        "checkpoint, folder of an export, hub id), a backbone of 'trace-mm backbones', a config, "
        "or a folder of edge maps",
    )


def add_launch(parser: argparse.ArgumentParser, examples: str) -> None:
    """Add ``--cfg-options`` and ``--launcher``.

    Args:
        parser: of the command.
        examples: of settings, for the help.
    """
    add_config_options(parser, f", such as {examples}")
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        help="what has started this process as one of several (default: pytorch if it was "
        "torchrun, else none)",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def launcher(arguments: argparse.Namespace) -> str:
    """What has started this process: what is said, or torchrun, or nothing."""
    if arguments.launcher is not None:
        return str(arguments.launcher)
    by_torchrun = is_launched() and "TORCHELASTIC_RUN_ID" in os.environ
    return "pytorch" if by_torchrun else "none"
