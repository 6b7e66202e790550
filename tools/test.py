"""Score a config's model: ``trace-mm test`` for those who run MMEngine tools from a checkout."""

import sys

from trace_mm.commands import test
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.runs.group import leave_group


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=test.DESCRIPTION)
    test.add_arguments(parser)
    return parser


def main() -> int:
    return test.run(make_parser().parse_args())


if __name__ == "__main__":
    status = run_command(main)
    leave_group(status)
    sys.exit(status)
