"""COCO panoptic files: check them, take a subset, derive instances and semantic maps.

COCO's own files need no conversion to be trained on. This checks that every PNG is there and fits
its segments, fills in boxes and areas where a tool has left them empty, puts things first, and
takes the images of a list if one is given.
"""

import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.converters import convert_coco_panoptic, describe_panoptic
from trace_mm.files import check_outputs


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--annotations", required=True, metavar="FILE", help="panoptic JSON file")
    parser.add_argument("--panoptic", required=True, metavar="DIR", help="folder of its PNGs")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="for panoptic.json and panoptic/<stem>.png"
    )
    parser.add_argument(
        "--images", metavar="FILE", help="text file: a file name, stem or id of an image a line"
    )
    parser.add_argument("--instances", action="store_true", help="also write instances.json")
    parser.add_argument("--semantic", action="store_true", help="also write semantic/<stem>.png")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 means this one")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_outputs(files=[Path(options.out) / "panoptic.json"], read=[options.images])
    images = None
    if options.images is not None:
        lines = Path(options.images).read_text(encoding="utf-8-sig").split("\n")
        images = [line.strip() for line in lines if line.strip()]
    content = convert_coco_panoptic(
        options.annotations,
        options.panoptic,
        options.out,
        images,
        instances=options.instances,
        semantic=options.semantic,
        workers=options.workers,
    )
    print(f"{options.out}: {describe_panoptic(content)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
