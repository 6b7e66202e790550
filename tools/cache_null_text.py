"""Compute the embeddings of the empty prompt once, so that text encoders are not needed again.

With --prompts also those of the prompts in a file, each once, for models that are shown images with
them.

Without --out they go to the user's cache, where load_backbone finds them; with --out to a file that
may be copied into the model's folder as null_text.safetensors, on a machine that has no encoders.
"""

import argparse
import sys
from pathlib import Path

from trace_mm.commands.command_line import Parser, run_command
from trace_mm.diffusion import open_model
from trace_mm.diffusion.null_text import write_null_text
from trace_mm.diffusion.null_text_files import NULL_TEXT_FILE, cache_path
from trace_mm.diffusion.prompts import Prompts
from trace_mm.files import check_outputs
from trace_mm.files.hub import readable_hub_errors
from trace_mm.runs.summary import DONE, SOME_FAILED


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, folder or hub id")
    parser.add_argument("--revision", help="of the hub id")
    parser.add_argument("--variant", help="of the encoders' weight files, such as fp16")
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help="JSON of a prompt by image name, all of which are embedded",
    )
    parser.add_argument("--device", default="cpu", help="of the encoders of prompts (default: cpu)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where those of one model go, instead of the cache"
    )
    return parser


def main() -> int:
    """Run the command line."""
    parser = make_parser()
    arguments = parser.parse_args()
    if arguments.out is not None and len(arguments.models) > 1:
        parser.error("--out takes one model")
    if arguments.out is not None and arguments.prompts is not None:
        parser.error("--out takes the empty prompt only: those of --prompts go to the cache")
    failed = 0
    for model in arguments.models:
        try:
            print(f"{model}: {cache(model, arguments)}")
        except (ValueError, OSError, ImportError) as error:
            print(f"cache_null_text: error: {error}", file=sys.stderr)
            failed += 1
    return SOME_FAILED if failed else DONE


def cache(model: str, arguments: argparse.Namespace) -> str:
    """Compute and store the embeddings of one model; what they are and where."""
    if arguments.out is not None and arguments.out.name != NULL_TEXT_FILE:
        check_outputs(files=[arguments.out], searched=[model])  # it would replace other weights
    opened = open_model(model, arguments.revision)
    with readable_hub_errors(opened.source, arguments.revision):
        embeddings = opened.null_text(arguments.variant, store=arguments.out is None)
        made = ""
        if arguments.prompts is not None:
            texts = Prompts(arguments.prompts).texts
            count = opened.prompt_files(arguments.variant).make(texts, arguments.device)
            made = f"; {count} of {len(texts)} prompts embedded now, all are in the cache"
    path = Path(opened.source) / NULL_TEXT_FILE  # of models that come with theirs
    if arguments.out is not None:
        path = arguments.out
        write_null_text(path, embeddings)
    elif not path.is_file():
        path = cache_path(opened.source, arguments.revision)
    shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in embeddings.items())
    return f"{shapes} in {path}{made}"


if __name__ == "__main__":
    sys.exit(run_command(main))
