"""The JSON files of SA-1B to one class-agnostic annotation file."""

import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_sa1b, describe, write_annotation_file
from trace_mm.files import check_outputs


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="folder of sa_*.json and sa_*.jpg")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument(
        "--max-images", type=int, metavar="N", help="the first N by name; default: all"
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    read = options.out if Path(options.out).match("sa_*.json") else None
    check_outputs(files=[options.out], read=[read])
    content = convert_sa1b(options.data_root, options.max_images)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
