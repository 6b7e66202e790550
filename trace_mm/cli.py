"""The ``trace-mm`` command: its subcommands, joined."""

import sys
from collections.abc import Sequence

from trace_mm import __version__
from trace_mm.commands import (
    app,
    backbones,
    convert,
    demo,
    edges,
    export,
    merge,
    panoptic,
    refine,
    score,
    segment,
    semantic,
    test,
    train,
)
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.runs.group import leave_group

SUBCOMMANDS = (
    edges,
    demo,
    segment,
    app,
    refine,
    convert,
    panoptic,
    semantic,
    merge,
    train,
    test,
    score,
    backbones,
    export,
)
"""Modules with a subcommand each, in the order in which the help lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; those of the process if None.

    Returns:
        The exit status.
    """

    def run() -> int:
        arguments = _build_parser().parse_args(argv)
        status: int = arguments.run(arguments)
        return status

    status = run_command(run, "trace-mm")
    leave_group(status)
    return status


def _build_parser() -> Parser:
    parser = Parser(
        prog="trace-mm",
        description="Instance edges from the self-attention of a text-to-image diffusion model.",
    )
    parser.add_argument("--version", action="version", version=f"trace-mm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subcommand in SUBCOMMANDS:
        subcommand.add_subcommand(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
