"""COCO 2014 or 2017, HRSID or iSAID to a class-agnostic annotation file."""

import sys

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import (
    convert_coco,
    convert_hrsid,
    convert_isaid,
    describe,
    write_annotation_file,
)
from trace_mm.files import check_outputs

_KINDS = {"coco": convert_coco, "hrsid": convert_hrsid, "isaid": convert_isaid}


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--annotations", required=True, help="such as instances_val2017.json")
    parser.add_argument(
        "--kind",
        choices=sorted(_KINDS),
        default="coco",
        help="the dataset; of HRSID and iSAID polygons without extent are left out (default: coco)",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_outputs(files=[options.out], read=[options.annotations])
    content = _KINDS[options.kind](options.annotations)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
