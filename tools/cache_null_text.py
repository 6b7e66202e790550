"""Compute the embeddings of the empty prompt once, so that text encoders are not needed again.

Without --out they go to the user's cache, where load_backbone finds them; with --out to a file that
may be copied into the model's folder as null_text.safetensors, on a machine that has no encoders.
"""

import argparse
import sys
from pathlib import Path

from trace_mm.diffusion import open_model
from trace_mm.diffusion.null_text import cache_path, write_null_text
from trace_mm.files.hub import readable_hub_errors


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, folder or hub id")
    parser.add_argument("--revision", help="of the hub id")
    parser.add_argument("--variant", help="of the encoders' weight files, such as fp16")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where those of one model go, instead of the cache"
    )
    arguments = parser.parse_args()
    if arguments.out is not None and len(arguments.models) > 1:
        parser.error("--out takes one model")
    failed = 0
    for model in arguments.models:
        try:
            opened = open_model(model, arguments.revision)
            with readable_hub_errors(opened.source, arguments.revision):
                embeddings = opened.null_text(arguments.variant)
        except (FileNotFoundError, ValueError, OSError) as error:
            print(f"cache_null_text: error: {error}", file=sys.stderr)
            failed += 1
            continue
        if arguments.out is not None:
            write_null_text(arguments.out, embeddings)
        shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in embeddings.items())
        path = arguments.out or cache_path(opened.source, arguments.revision)
        print(f"{model}: {shapes} in {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
