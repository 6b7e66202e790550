"""PASCAL VOC 2012 to a class-agnostic annotation file."""

import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_voc2012, describe, write_annotation_file
from trace_mm.datasets.converters.voc import VOC_FOLDERS
from trace_mm.files import check_outputs


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="VOCdevkit/VOC2012")
    parser.add_argument("--split", default="val", help="list in ImageSets/Segmentation")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    read = [Path(options.data_root) / name for name in VOC_FOLDERS]
    check_outputs(files=[options.out], searched=read)
    content = convert_voc2012(options.data_root, options.split)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
