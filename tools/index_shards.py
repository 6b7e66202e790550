"""Make the index of WebDataset shards, by which training reads single images out of them.

Each shard is read once, a local one by its headers only. Shards whose index fits are passed over.
"""

import argparse
import sys
from collections import Counter
from functools import partial

from trace_mm.commands.arguments import natural
from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.files.addresses import name_in
from trace_mm.files.brace_names import BraceNames
from trace_mm.files.shard_index import has_index, write_index
from trace_mm.runs.pool import ordered_map
from trace_mm.runs.progress import watched


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, epilog=EXIT_STATUS)
    parser.add_argument(
        "shards",
        nargs="+",
        metavar="SHARDS",
        help="path or address of .tar files, such as 's3://bucket/{000000..000999}.tar'",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder or address for the indexes, which ImageShards is given as index=DIR (default: "
        "beside each shard, as NAME.tar.index)",
    )
    parser.add_argument("--workers", type=natural, default=0, metavar="N", help="processes")
    return parser


def index(shard: str, folder: str | None) -> str | int | None:
    """Index a shard; how many members it has, None if that is known, or why it cannot be."""
    try:
        return None if has_index(shard, folder) else write_index(shard, folder)
    except (ValueError, OSError) as error:
        return str(error)


def main() -> int:
    """Run the command line."""
    arguments: argparse.Namespace = make_parser().parse_args()
    shards = [name for pattern in arguments.shards for name in BraceNames(pattern)]
    names = Counter(map(name_in, shards)).most_common(1)
    if arguments.out is not None and names[0][1] > 1:
        raise ValueError(f"--out: {names[0][0]} is the name of several shards")
    function = partial(index, folder=arguments.out)
    found = ordered_map(function, shards, arguments.workers)
    results = list(watched(found, len(shards), unit="shard"))
    counts = [one for one in results if isinstance(one, int)]
    failed = [one for one in results if isinstance(one, str)]
    skipped = results.count(None)
    print(
        f"{len(counts)} shards of {sum(counts)} files indexed, {skipped} were before, "
        f"{len(failed)} failed"
    )
    for reason in failed:
        print(f"  {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_command(main))
