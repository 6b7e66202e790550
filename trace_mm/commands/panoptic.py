"""``trace-mm panoptic``: a panoptic dataset out of semantic maps and instance edges."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from trace_mm.commands.arguments import (
    MODEL_OPTIONS,
    add_edges,
    add_model_arguments,
    edge_source,
    note_no_gain,
)
from trace_mm.commands.class_options import ClassOptions
from trace_mm.commands.command_line import EXIT_STATUS
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.commands.shards import add_image_extension, names_shards, shard_edge_source

if TYPE_CHECKING:
    from trace_mm.runs.executors import RunOptions
    from trace_mm.runs.summary import RunSummary

_Source = TypeVar("_Source")
_LABELER = ClassOptions("trace_mm.panoptic.labels", "PanopticLabeler")


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    panoptic = commands.add_parser(
        "panoptic",
        help="make panoptic labels of semantic maps and instance edges",
        description="Tell the things in semantic maps apart by instance edges, and write a COCO "
        "panoptic dataset, with instances, semantic maps and a summary page. A run that was "
        "interrupted goes on where it stopped when the same command is given again.",
        epilog=EXIT_STATUS,
    )
    panoptic.add_argument(
        "--images",
        required=True,
        metavar="DIR",
        help="folder of images, or shards: 'shards/{000000..000999}.tar'; both local or of a store "
        "(s3://...)",
    )
    add_image_extension(panoptic)
    panoptic.add_argument(
        "--semantic",
        required=True,
        metavar="DIR",
        help="folder of semantic maps, <stem>.png of ids or <stem>.npy of ids or scores; of images "
        "in shards, shards with the same names and keys, or the same shards with KEY.semantic.png",
    )
    panoptic.add_argument(
        "--classes",
        required=True,
        metavar="FILE|NAME",
        help="class file with thing_classes and stuff_classes; voc2012; coco2017 or cocostuff, "
        "whose numbering is taken from the ids in the maps; or one of their numberings: "
        "coco2017-contiguous, coco2017-own, coco2017-from-0, cocostuff-own, cocostuff-pixelmaps, "
        "cocostuff-from-0",
    )
    panoptic.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write; of shards, one for trace-mm merge, local or of a store",
    )
    add_edges(panoptic)
    panoptic.add_argument(
        "--no-edges",
        action="store_true",
        help="tell things apart by connected components alone, for comparison",
    )
    panoptic.add_argument(
        "--annotations",
        metavar="FILE",
        help="COCO file whose image ids are used (default: from 1 on, by name)",
    )
    add_run_arguments(panoptic)
    _LABELER.add_to(panoptic.add_argument_group("labels"))
    add_model_arguments(panoptic)
    panoptic.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    how = run_options(arguments)
    local = [arguments.edges, arguments.annotations]
    shards = names_shards(arguments, arguments.images, local=local)
    work = _of_shards if shards else _of_folder
    return work(arguments, how).report(arguments.out)


def _of_shards(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.files.shard_names import ShardNames
    from trace_mm.runs.group import note_once
    from trace_mm.runs.shard_run import check_shard_places

    if arguments.annotations is not None:
        raise ValueError("--annotations has no effect with shards")
    images, semantic = ShardNames([arguments.images]), ShardNames([arguments.semantic])
    for shards in (images, semantic):
        check_shard_places(shards, arguments.out)
    from trace_mm.apis.shard_runs import label_shards
    from trace_mm.jobs.panoptic_shards import first_maps
    from trace_mm.panoptic import PanopticLabeler, choose_classes

    labeler = PanopticLabeler(**_LABELER.given(arguments))
    maps = first_maps(images, semantic, arguments.image_extension)
    classes, remark = choose_classes(arguments.classes, arguments.semantic, maps)
    note_once(remark)
    return label_shards(
        [arguments.images],
        [arguments.semantic],
        classes,
        arguments.out,
        _edges(arguments, shard_edge_source),
        labeler,
        image=arguments.image_extension,
        **how,
    )


def _of_folder(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.jobs.places import panoptic_places
    from trace_mm.runs.engine import check_places
    from trace_mm.runs.group import note_once

    read = [arguments.annotations, arguments.classes]
    # Before anything heavy is imported or loaded, which takes time.
    check_places(panoptic_places(arguments.images, arguments.semantic, arguments.out, read=read))
    from trace_mm.apis.pseudo_panoptic import make_pseudo_panoptic
    from trace_mm.panoptic import PanopticLabeler, choose_classes

    labeler = PanopticLabeler(**_LABELER.given(arguments))
    classes, remark = choose_classes(arguments.classes, arguments.semantic)
    note_once(remark)
    return make_pseudo_panoptic(
        arguments.images,
        arguments.semantic,
        classes,
        arguments.out,
        _edges(arguments, edge_source),
        labeler,
        annotations=arguments.annotations,
        **how,
    )


def _edges(arguments: argparse.Namespace, source: Callable[[Any], _Source]) -> _Source | None:
    if arguments.no_edges:
        given = [name for name in ("edges", *MODEL_OPTIONS) if getattr(arguments, name) is not None]
        if given:
            raise ValueError(f"--no-edges: --{given[0].replace('_', '-')} has no effect")
        return None
    note_no_gain(
        arguments,
        "the shipped model's edges make labels of photos no better than --no-edges, so that with "
        "the preset photos they hardly ever cut",
    )
    return source(arguments)
