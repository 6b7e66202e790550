"""``trace-mm edges``: the instance edges of images."""

import argparse
from pathlib import Path
from typing import Any

from trace_mm.commands.arguments import (
    add_model_arguments,
    edge_model,
    positive,
    tell_model,
)
from trace_mm.commands.command_line import EXIT_STATUS
from trace_mm.commands.executors import add_executor_arguments, build_executor
from trace_mm.console import note


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
        help="image, folder, 'pattern', list of images (.txt) or COCO file (.json)",
    )
    edges.add_argument(
        "--root",
        metavar="DIR",
        help="folder of the images that a list or a COCO file names (default: where that lies)",
    )
    edges.add_argument("--out", required=True, metavar="DIR", help="where results go")
    edges.add_argument(
        "--save",
        nargs="+",
        default=["png"],
        choices=["png", "npz", "overlay"],
        help="edges as 8-bit PNG, as float with scores, drawn over the image (default: png)",
    )
    edges.add_argument("--batch-size", type=positive, default=1, metavar="N")
    edges.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the results of an earlier run with other settings and start anew",
    )
    add_executor_arguments(edges)
    add_model_arguments(edges)
    edges.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.jobs.places import edge_places, result_folders
    from trace_mm.runs.engine import check_places

    executor = build_executor(arguments)
    out = Path(arguments.out)
    sources = expand_inputs(
        arguments.inputs, exclude=result_folders(out), tell=note, root=arguments.root
    )
    check_places(edge_places(sources.paths(), out))  # before anything heavy is loaded
    tell_model(arguments)
    from trace_mm.apis.folder_run import run_folder
    from trace_mm.jobs.edge_sources import EdgeModel, ImagePredictions

    model = edge_model(arguments)
    if not isinstance(model, EdgeModel):
        raise ValueError(f"{arguments.model}: names edges that are there already, and no model")
    summary = run_folder(
        ImagePredictions(model),
        sources,
        out,
        settings=model.settings(),
        save=arguments.save,
        batch_size=arguments.batch_size,
        overwrite=arguments.overwrite,
        executor=executor,
    )
    return summary.report(out)
