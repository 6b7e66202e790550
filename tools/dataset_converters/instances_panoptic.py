"""COCO instances to a COCO panoptic dataset of things; the rest is void, or background."""

import json
import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_instances_panoptic, describe_panoptic
from trace_mm.files import check_outputs, write_atomically


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--annotations", required=True, metavar="FILE", help="instance JSON file")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="for panoptic.json and panoptic/<stem>.png"
    )
    parser.add_argument(
        "--background",
        metavar="NAME",
        help="make what no instance covers a category of stuff (default: it is void)",
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    out = Path(options.out)
    check_outputs(files=[out / "panoptic.json"], read=[options.annotations])
    content = convert_instances_panoptic(
        options.annotations, out / "panoptic", background=options.background
    )
    write_atomically(out / "panoptic.json", json.dumps(content).encode("ascii"))
    print(f"{out}: {describe_panoptic(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
