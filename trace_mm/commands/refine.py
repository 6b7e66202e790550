"""``trace-mm refine``: better masks out of another method's."""

import argparse
import sys
from typing import Any

from trace_mm.commands.arguments import (
    add_edges,
    add_model_arguments,
    edge_source,
    natural,
    positive,
    tell_model,
)
from trace_mm.commands.command_line import EXIT_STATUS

_REFINER_OPTIONS = (
    "preset",
    "scores",
    "threshold",
    "radius",
    "beta",
    "steps",
    "merge_iou",
    "resolution",
    "level",
    "min_probability",
    "min_fragment",
    "small_fragment",
    "small_evidence",
    "min_enclosure",
    "split_parts",
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
    refine.add_argument("--masks", required=True, metavar="PATH", help="file or folder of masks")
    refine.add_argument("--images", required=True, metavar="DIR", help="folder of their images")
    refine.add_argument("--out", required=True, metavar="FILE", help="COCO JSON file to write")
    refine.add_argument(
        "--format",
        default="auto",
        metavar="F",
        help="of the masks: maskcut, cutler, promerge, unsam, u2seg, dhr, mars, irn, cups, coco, "
        "voc, png (default: recognised)",
    )
    add_edges(refine)
    refine.add_argument(
        "--annotations",
        metavar="FILE",
        help="COCO file whose images tell the names of ids, where the masks have ids only",
    )
    refine.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out masks that cannot be used, and note them in FILE.parts/manifest.jsonl",
    )
    refine.add_argument(
        "--crowds",
        choices=["auto", "keep", "skip"],
        default="auto",
        help="regions marked iscrowd: leave them out unless all masks are marked so, take them as "
        "masks, or leave them out (default: auto)",
    )
    refine.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read masks that are Python pickles (IRN): only from people you trust",
    )
    refine.add_argument(
        "--show-dir", metavar="DIR", help="write a picture of each image: before, edges, after"
    )
    refine.add_argument("--batch-size", type=positive, default=1, metavar="N")
    refine.add_argument(
        "--workers", type=natural, default=0, metavar="N", help="processes that refine (default: 0)"
    )
    refine.add_argument("--overwrite", action="store_true", help="forget an earlier run")
    _add_refiner_arguments(refine)
    add_model_arguments(refine)
    refine.set_defaults(run=_run)


def _add_refiner_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("refinement")
    group.add_argument(
        "--preset",
        choices=("default", "paper"),
        help="what the settings are that are not given; paper: Alg. 4 as it is written",
    )
    group.add_argument(
        "--scores",
        choices=("source", "constant", "outline"),
        help="of refined masks: the source's, and 1 where it has none (default); 1 for all; or how "
        "well edges agree with their outlines",
    )
    group.add_argument("--threshold", type=float, metavar="X", help="an edge above it separates")
    group.add_argument("--radius", type=positive, metavar="N", help="reach of a step, in pixels")
    group.add_argument("--beta", type=float, metavar="X", help="how much weak edges hold back")
    group.add_argument("--steps", type=natural, metavar="N", help="length of the random walk")
    group.add_argument("--merge-iou", type=float, metavar="X", help="unite masks above this IoU")
    group.add_argument(
        "--resolution",
        type=_resolution,
        metavar="N",
        help="longer side of the working grid; image: the image's own; auto: 128, and up to 512 "
        "where a mask is cut into narrow pieces",
    )
    group.add_argument("--level", type=float, metavar="X", help="share of the largest probability")
    group.add_argument("--min-probability", type=float, metavar="X", help="least probability")
    group.add_argument(
        "--min-fragment", type=float, metavar="N", help="smallest piece, in pixels of the grid"
    )
    group.add_argument(
        "--small-fragment",
        type=float,
        metavar="N",
        help="pieces of fewer pixels of the grid need strong edges all around",
    )
    group.add_argument(
        "--small-evidence", type=float, metavar="X", help="how strong, between 0 and 1"
    )
    group.add_argument(
        "--min-enclosure", type=float, metavar="X", help="least share of an outline on edges"
    )
    group.add_argument(
        "--split-parts",
        action="store_true",
        default=None,
        help="also split a mask where it is in several parts already",
    )


def _resolution(text: str) -> int | str:
    """An argument's value: a number from 1 on, image or auto."""
    return text if text in ("auto", "image") else positive(text)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.places import check_refinement_places

    places = {"annotations": arguments.annotations, "show_dir": arguments.show_dir}
    # Before anything heavy is imported or loaded, which takes time.
    check_refinement_places(arguments.masks, arguments.images, arguments.out, **places)
    tell_model(arguments)
    from trace_mm.apis.refine_masks import refine_masks
    from trace_mm.refine import BoundaryGuidedPropagation

    given = {name: getattr(arguments, name) for name in _REFINER_OPTIONS}
    refiner = BoundaryGuidedPropagation(
        **{name: value for name, value in given.items() if value is not None}
    )
    summary = refine_masks(
        arguments.masks,
        arguments.images,
        arguments.out,
        edge_source(arguments),
        refiner,
        format=arguments.format,
        annotations=arguments.annotations,
        allow_pickle=arguments.allow_pickle,
        crowds=arguments.crowds,
        skip_bad=arguments.skip_bad,
        show_dir=arguments.show_dir,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        overwrite=arguments.overwrite,
    )
    print(summary.describe(arguments.out))
    for name, reason in summary.failed.items():
        print(f"  {name}: {reason}", file=sys.stderr)
    return 1 if summary.failed else 0
