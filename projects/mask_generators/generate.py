"""Write masks of a folder of images as COCO JSON, by MaskCut, TokenCut or ProMerge.

On several GPUs or machines: torchrun --nproc-per-node 4 projects/mask_generators/generate.py ...
"""

import argparse
import ast
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # projects are not installed

from trace_mm.apis.generate_masks import generate_masks
from trace_mm.commands.arguments import named_device
from trace_mm.commands.command_line import Parser, run_command
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.generators.methods import METHODS


def setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, where the value is a number or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("images", help="a folder, which may have subfolders, a file or a pattern")
    parser.add_argument("--out", type=Path, required=True, help="COCO JSON file")
    parser.add_argument(
        "--backbone",
        default="vit_small_patch8_224.dino",
        help="a vision transformer of timm, or a diffusion model: trace-tiny, a diffusers folder "
        "or a hub id (default: %(default)s)",
    )
    parser.add_argument("--checkpoint", type=Path, help="local weights of a vision transformer")
    parser.add_argument("--size", type=int, help="side of the square whose area images have")
    parser.add_argument(
        "--set",
        dest="settings",
        type=setting,
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the method, such as threshold=0.2",
    )
    parser.add_argument(
        "--features",
        type=setting,
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the features, such as timestep=200 or kind=query",
    )
    parser.add_argument(
        "--ids", type=Path, help="COCO JSON with the image ids to use, by file name"
    )
    parser.add_argument("--device", help="cuda if there is one, else cpu")
    add_run_arguments(parser)
    return parser


def main() -> int:
    arguments = make_parser().parse_args()
    device, elsewhere = named_device(arguments)
    summary = generate_masks(
        arguments.method,
        arguments.images,
        arguments.out,
        backbone=arguments.backbone,
        checkpoint=arguments.checkpoint,
        size=arguments.size,
        settings=dict(arguments.settings),
        features=dict(arguments.features),
        ids=arguments.ids,
        device=device,
        elsewhere=elsewhere,
        **run_options(arguments),
    )
    return summary.report(arguments.out)


if __name__ == "__main__":
    sys.exit(run_command(main))
