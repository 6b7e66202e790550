"""Procedural scenes as files: images, and instance, panoptic and semantic ground truth."""

import sys

from trace_mm.commands.arguments import positive
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.datasets.scenes.export import export_scenes
from trace_mm.files import check_outputs


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--seed", type=int, default=1, help="of the series; 1 is for tests")
    parser.add_argument("--start", type=int, default=0, help="index of the first image")
    parser.add_argument("--length", type=int, default=300, help="how many images")
    parser.add_argument("--size", type=int, default=128, help="of each side of a scene in pixels")
    parser.add_argument(
        "--grid", type=positive, default=1, metavar="N", help="an image is N x N scenes (default 1)"
    )
    return parser


def main() -> None:
    options = make_parser().parse_args()
    check_outputs(folders=[options.out])
    size = options.size, options.size
    export_scenes(options.out, options.seed, options.start, options.length, size, options.grid)
    print(f"{options.out}: {options.length} images")


if __name__ == "__main__":
    sys.exit(run_command(main))
