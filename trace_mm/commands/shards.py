"""What subcommands that read shards have in common."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trace_mm.commands.arguments import check_needs_no_model, edge_model

if TYPE_CHECKING:
    from trace_mm.files.shard_names import ShardNames
    from trace_mm.jobs.edge_sources import EdgeModel, StoredEdges


def add_image_extension(parser: Any) -> None:
    """Add ``--image-extension``, which :func:`names_shards` checks."""
    parser.add_argument(
        "--image-extension",
        metavar="EXT",
        help="which member of a shard's sample is the image, such as jpg (default: the only one)",
    )


def names_shards(
    arguments: argparse.Namespace, *inputs: str, local: Sequence[str | None] = ()
) -> bool:
    """Whether inputs are shards; if not, their results may not go to a store.

    Args:
        arguments: of the command line.
        inputs: of them, images.
        local: of them, what must not lie in a store, unless inputs are shards.

    Raises:
        ValueError: if something cannot lie where it does, or an option has no effect.
    """
    from trace_mm.files.addresses import is_address
    from trace_mm.files.shard_names import is_shard

    if any(map(is_shard, inputs)):
        return True
    if is_address(arguments.out):
        raise ValueError(
            f"{arguments.out}: only shards are written to a store, for shards (.tar) of images; "
            f"results of single images go to a local folder"
        )
    for place in (place for place in local if place is not None and is_address(place)):
        raise ValueError(f"{place}: must be local, as the images are not in shards (.tar)")
    if arguments.image_extension is not None:
        raise ValueError("--image-extension has no effect without shards")
    return False


def shard_edge_source(
    arguments: argparse.Namespace,
) -> "ShardNames | EdgeModel | StoredEdges":
    """Edges of images in shards: from shards by ``--edges``, else of the model.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if an option is wrong, or of a model beside shards of edges.
    """
    from trace_mm.files.shard_names import ShardNames

    if arguments.edges is None:
        return edge_model(arguments)
    edges = ShardNames([arguments.edges])
    check_needs_no_model(arguments)
    return edges
