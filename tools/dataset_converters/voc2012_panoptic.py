"""PASCAL VOC 2012 to a COCO panoptic dataset of 20 things and background."""

import sys

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_voc2012_panoptic, describe_panoptic


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="VOCdevkit/VOC2012")
    parser.add_argument("--split", default="val", help="list in ImageSets/Segmentation")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="for panoptic.json and panoptic/<stem>.png"
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    content = convert_voc2012_panoptic(options.data_root, options.split, options.out)
    print(f"{options.out}: {describe_panoptic(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
