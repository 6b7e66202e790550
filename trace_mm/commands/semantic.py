"""``trace-mm semantic``: semantic maps out of scores of classes and instance edges."""

import argparse
from typing import Any

from trace_mm.commands.arguments import (
    MODEL_OPTIONS,
    add_edges,
    add_model_arguments,
    edge_source,
)
from trace_mm.commands.class_options import ClassOptions
from trace_mm.commands.command_line import EXIT_STATUS
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.commands.shards import names_shards

_REFINER = ClassOptions("trace_mm.refinement.score_propagation", "ScorePropagation")


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    semantic = commands.add_parser(
        "semantic",
        help="refine scores of classes by instance edges, and decide",
        description="Let the scores that an open-vocabulary method gives to classes spread inside "
        "instance edges, and write the best class of each pixel as semantic/<stem>.png. A run that "
        "was interrupted goes on where it stopped when the same command is given again.",
        epilog=EXIT_STATUS,
    )
    semantic.add_argument(
        "--images",
        required=True,
        metavar="DIR",
        help="folder of images, local or of a store (s3://...)",
    )
    semantic.add_argument(
        "--scores",
        required=True,
        metavar="DIR",
        help="folder of score maps of them, likewise: <stem>.npz or <stem>.npy of floats "
        "(classes, h, w), or <stem>.png of class ids",
    )
    semantic.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    add_edges(semantic)
    semantic.add_argument(
        "--no-edges", action="store_true", help="decide the scores as they are, for comparison"
    )
    add_run_arguments(semantic)
    _REFINER.add_to(semantic.add_argument_group("scores"))
    add_model_arguments(semantic)
    semantic.set_defaults(run=_run, image_extension=None)


def _run(arguments: argparse.Namespace) -> int:
    how = run_options(arguments)
    if names_shards(arguments, arguments.images, local=[arguments.edges]):
        raise ValueError(f"{arguments.images}: shards have no score maps; name a folder of images")
    if arguments.no_edges:
        given = [name for name in ("edges", *MODEL_OPTIONS) if getattr(arguments, name) is not None]
        if given:
            raise ValueError(f"--no-edges: --{given[0].replace('_', '-')} has no effect")
    from trace_mm.jobs.places import semantic_places
    from trace_mm.runs.engine import check_places

    # Before anything heavy is imported or loaded, which takes time.
    check_places(semantic_places(arguments.images, arguments.scores, arguments.out))
    from trace_mm.apis.semantic_maps import make_semantic_maps
    from trace_mm.refinement.score_propagation import ScorePropagation

    summary = make_semantic_maps(
        arguments.images,
        arguments.scores,
        arguments.out,
        None if arguments.no_edges else edge_source(arguments),
        ScorePropagation(**_REFINER.given(arguments)),
        **how,
    )
    return summary.report(arguments.out)
