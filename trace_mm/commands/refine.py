"""``trace-mm refine``: better masks out of another method's."""

import argparse
from typing import TYPE_CHECKING, Any

from trace_mm.commands.arguments import (
    add_edges,
    add_model_arguments,
    edge_source,
    note_no_gain,
)
from trace_mm.commands.class_options import ClassOptions
from trace_mm.commands.command_line import EXIT_STATUS
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.commands.mask_arguments import add_reading
from trace_mm.commands.shards import add_image_extension, names_shards, shard_edge_source

if TYPE_CHECKING:
    from trace_mm.runs.executors import RunOptions
    from trace_mm.runs.summary import RunSummary

_REFINER = ClassOptions(
    "trace_mm.refinement.boundary_guided_propagation", "BoundaryGuidedPropagation"
)


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    refine = commands.add_parser(
        "refine",
        help="refine the masks of another method by instance edges",
        description="Read masks that another method made, refine them by instance edges, and write "
        "COCO instances. A run that was interrupted goes on where it stopped when the same command "
        "is given again.",
        epilog=EXIT_STATUS,
    )
    refine.add_argument(
        "--masks",
        required=True,
        metavar="PATH",
        help="file or folder of masks; of images in shards, shards with the same names and keys, "
        "or the same shards, that hold KEY.masks.json",
    )
    refine.add_argument(
        "--images",
        required=True,
        metavar="DIR",
        help="folder of their images, or shards: 'shards/{000000..000999}.tar'; both local or of a "
        "store (s3://...)",
    )
    add_image_extension(refine)
    refine.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="COCO JSON file to write; of shards, a folder, local or of a store, for trace-mm "
        "merge",
    )
    add_edges(refine)
    add_reading(refine, "--format", "in FILE.parts/manifest.jsonl")
    refine.add_argument(
        "--show-dir", metavar="DIR", help="write a picture of each image: before, edges, after"
    )
    _REFINER.add_to(refine.add_argument_group("refinement"))
    add_run_arguments(refine)
    add_model_arguments(refine)
    refine.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    how = run_options(arguments)
    note_no_gain(
        arguments, "the shipped model's edges hardly change masks of photos, and make none better"
    )
    local = [arguments.masks, arguments.edges, arguments.annotations, arguments.show_dir]
    shards = names_shards(arguments, arguments.images, local=local)
    work = _of_shards if shards else _of_folder
    return work(arguments, how).report(arguments.out)


def _of_shards(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.files.shard_names import ShardNames
    from trace_mm.runs.shard_run import check_shard_places

    no_effect = ("annotations", "allow_pickle", "show_dir")
    given = [name for name in no_effect if getattr(arguments, name)]
    given += ["format"] if arguments.source_format != "auto" else []
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} has no effect with shards")
    images, masks = ShardNames([arguments.images]), ShardNames([arguments.masks])
    for shards in (images, masks):
        check_shard_places(shards, arguments.out)
    from trace_mm.apis.shard_runs import refine_shards
    from trace_mm.refinement import BoundaryGuidedPropagation

    return refine_shards(
        [arguments.images],
        [arguments.masks],
        arguments.out,
        shard_edge_source(arguments),
        BoundaryGuidedPropagation(**_REFINER.given(arguments)),
        crowds=arguments.crowds,
        skip_bad=arguments.skip_bad,
        image=arguments.image_extension,
        **how,
    )


def _of_folder(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.jobs.places import refinement_places
    from trace_mm.runs.engine import check_places

    places = {"annotations": arguments.annotations, "show_dir": arguments.show_dir}
    # Before anything heavy is imported or loaded, which takes time.
    check_places(refinement_places(arguments.masks, arguments.images, arguments.out, **places))
    from trace_mm.apis.refine_masks import refine_masks
    from trace_mm.refinement import BoundaryGuidedPropagation

    refiner = BoundaryGuidedPropagation(**_REFINER.given(arguments))
    return refine_masks(
        arguments.masks,
        arguments.images,
        arguments.out,
        edge_source(arguments),
        refiner,
        format=arguments.source_format,
        annotations=arguments.annotations,
        allow_pickle=arguments.allow_pickle,
        crowds=arguments.crowds,
        skip_bad=arguments.skip_bad,
        show_dir=arguments.show_dir,
        **how,
    )
