"""Panoptic maps of COCO 2014 val (Table 6), out of the files of 2017, where its images are.

PNGs stay where they are, in panoptic_train2017/ and panoptic_val2017/.
"""

import sys

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_coco2014_panoptic, describe_panoptic


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--images", required=True, metavar="FILE", help="instances_val2014.json")
    parser.add_argument(
        "--annotations",
        required=True,
        nargs="+",
        metavar="FILE",
        help="panoptic_train2017.json panoptic_val2017.json",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="panoptic JSON to write")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    content = convert_coco2014_panoptic(options.images, options.annotations, options.out)
    print(f"{options.out}: {describe_panoptic(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
