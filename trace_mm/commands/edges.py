"""``trace-mm edges``: the instance edges of images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.commands.arguments import (
    add_model_arguments,
    edge_model,
)
from trace_mm.commands.command_line import EXIT_STATUS
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.commands.shards import add_image_extension, names_shards
from trace_mm.console import note

if TYPE_CHECKING:
    from trace_mm.jobs.edge_sources import ImagePredictions
    from trace_mm.runs.executors import RunOptions
    from trace_mm.runs.summary import RunSummary


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    edges = commands.add_parser(
        "edges",
        help="write the instance edges of images",
        description="Write the instance edges of images to a folder. A run that was interrupted "
        "goes on where it stopped when the same command is given again.",
        epilog=EXIT_STATUS,
    )
    edges.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image, folder, 'pattern', list of images (.txt), COCO file (.json), or shards: "
        "'shards/{000000..000999}.tar'; all but patterns local or of a store (s3://...)",
    )
    edges.add_argument(
        "--root",
        metavar="DIR",
        help="folder of the images that a list or a COCO file names, local or of a store "
        "(default: where that lies)",
    )
    add_image_extension(edges)
    edges.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="where results go; those of shards are shards, and may go to a store (s3://...)",
    )
    edges.add_argument(
        "--save",
        nargs="+",
        default=["png"],
        choices=["png", "npz", "overlay"],
        help="edges as 8-bit PNG, as float with scores, drawn over the image (default: png)",
    )
    add_run_arguments(edges)
    add_model_arguments(edges)
    edges.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    how = run_options(arguments)
    work = _of_shards if names_shards(arguments, *arguments.inputs) else _of_images
    return work(arguments, how).report(arguments.out)


def _of_images(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.jobs.places import edge_places, result_folders
    from trace_mm.runs.engine import check_places

    out = Path(arguments.out)
    sources = expand_inputs(
        arguments.inputs, exclude=result_folders(out), tell=note, root=arguments.root
    )
    check_places(edge_places(sources.paths(), out))  # before anything heavy is loaded
    from trace_mm.apis.folder_run import run_folder

    predict, settings = _model(arguments)
    return run_folder(
        predict,
        sources,
        out,
        settings=settings,
        save=arguments.save,
        **how,
    )


def _of_shards(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.files.shard_names import ShardNames
    from trace_mm.runs.shard_run import check_shard_places

    if arguments.root is not None:
        raise ValueError("--root has no effect with shards")
    check_shard_places(ShardNames(arguments.inputs), arguments.out)  # before anything is loaded
    from trace_mm.apis.shard_runs import edges_of_shards

    predict, settings = _model(arguments)
    return edges_of_shards(
        predict,
        arguments.inputs,
        arguments.out,
        settings=settings,
        save=arguments.save,
        image=arguments.image_extension,
        **how,
    )


def _model(arguments: argparse.Namespace) -> "tuple[ImagePredictions, dict[str, Any]]":
    """What predicts, and what its predictions depend on."""
    from trace_mm.jobs.edge_sources import EdgeModel, ImagePredictions

    model = edge_model(arguments)
    if not isinstance(model, EdgeModel):
        raise ValueError(f"{arguments.model}: names edges that are there already, and no model")
    return ImagePredictions(model), model.settings()
