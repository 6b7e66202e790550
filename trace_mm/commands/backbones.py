"""``trace-mm backbones``: which models there are."""

import argparse
from typing import Any


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    parser = commands.add_parser(
        "backbones",
        help="list the models that edges can be read from",
        description="List the models that 'trace-mm edges --backbone NAME' takes, and what of them "
        "is on this machine. What is not here is downloaded on first use; gated models ask you to "
        "accept their terms on the hub first. Any other diffusers model of their kinds works too, "
        "by its hub id or folder.",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.backbones import list_backbones

    rows = [("NAME", "WEIGHTS", "PIXELS", "HERE", "FROM", "LICENSE")]
    for state in list_backbones():
        parameters = "" if state.parameters is None else f"{state.parameters:.2f} B"
        size = "" if state.size is None else str(state.size)
        rows.append((state.name, parameters, size, state.here, state.source, state.license))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0
