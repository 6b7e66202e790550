"""``trace-mm merge``: shards of labels as one dataset."""

import argparse
from pathlib import Path
from typing import Any

from trace_mm.commands.command_line import EXIT_STATUS


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    merge = commands.add_parser(
        "merge",
        help="make one COCO dataset of shards of labels",
        description="Make one COCO file of the shards that trace-mm segment or refine has "
        "written, or one COCO panoptic dataset of those of trace-mm panoptic. Each shard is read "
        "once.",
        epilog=EXIT_STATUS,
    )
    merge.add_argument(
        "shards",
        nargs="+",
        metavar="SHARDS",
        help="shards of labels: 'labels/{000000..000999}.tar', local or of a store (s3://...)",
    )
    merge.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="COCO JSON file to write; of panoptic labels, the folder of the dataset",
    )
    merge.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.files.shard_names import ShardNames
    from trace_mm.jobs.merge import merge_shards

    return merge_shards(ShardNames(arguments.shards), Path(arguments.out)).report(arguments.out)
