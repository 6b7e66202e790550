"""KITTI to a class-agnostic annotation file: boxes of 7,481 images, or masks of 200."""

import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import (
    convert_kitti_boxes,
    convert_kitti_instances,
    describe,
    write_annotation_file,
)
from trace_mm.files import check_outputs
from trace_mm.files.id_maps import DIVISORS


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--data-root", required=True, help="folder with image_2, and label_2 or instance"
    )
    parser.add_argument(
        "--kind",
        choices=["boxes", "instances"],
        default="boxes",
        help="object detection (label_2) or instance segmentation (instance); default: boxes",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    parser.add_argument(
        "--divisor",
        type=int,
        choices=DIVISORS,
        help="ids of instances are class * DIVISOR + number (default: as the maps show)",
    )
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    read = [Path(options.data_root) / name for name in ("image_2", "label_2", "instance")]
    check_outputs(files=[options.out], searched=read)
    if options.kind == "boxes":
        if options.divisor is not None:
            parser.error("--divisor is for --kind instances")
        content = convert_kitti_boxes(options.data_root)
    else:
        content = convert_kitti_instances(options.data_root, divisor=options.divisor)
        print(f"ids are read as {content['info']['ids']}; --divisor says otherwise")
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
