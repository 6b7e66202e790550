"""COCO instances to the semantic maps of COCO-Object: 80 classes and background."""

import sys

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_coco_object


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--annotations", required=True, metavar="FILE", help="instance JSON file")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for <stem>.png")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    count = convert_coco_object(options.annotations, options.out)
    print(f"{options.out}: semantic maps of {count} images")


if __name__ == "__main__":
    sys.exit(run_command(main))
