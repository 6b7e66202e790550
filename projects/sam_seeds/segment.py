"""Masks of seeds by SAM: a panoptic dataset of images with semantic maps, else instances.

A run that was interrupted goes on where it stopped when the same command is given again.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # projects are not installed

from trace_mm.commands.arguments import (
    MODEL_OPTIONS,
    add_edges,
    add_model_arguments,
    edge_source,
    natural,
    positive,
)
from trace_mm.commands.class_options import ClassOptions
from trace_mm.commands.command_line import EXIT_STATUS, Parser, run_command
from trace_mm.commands.executors import add_run_arguments, run_options

if TYPE_CHECKING:
    from trace_mm.jobs.edge_sources import EdgeSource
    from trace_mm.panoptic import PanopticClasses, PanopticLabeler
    from trace_mm.runs.summary import RunSummary

_SEEDS = ("labels", "components", "segments", "boxes", "grounding-dino")
_OF_BOXES = ("boxes", "grounding-dino")  # need no edges
_LABELER = ClassOptions("trace_mm.panoptic.labels", "PanopticLabeler")


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, epilog=EXIT_STATUS)
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of images")
    parser.add_argument(
        "--semantic",
        metavar="DIR",
        help="folder of semantic maps, as for trace-mm panoptic; without it, masks have no classes",
    )
    parser.add_argument(
        "--classes", metavar="FILE|NAME", help="what the ids in the maps mean, likewise"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--annotations", metavar="FILE", help="COCO file whose image ids are used, by file name"
    )
    _add_seeds(parser.add_argument_group("seeds"))
    _add_prompts(parser.add_argument_group("what SAM is asked"))
    masks = parser.add_argument_group("masks")
    masks.add_argument(
        "--stuff",
        choices=["map", "seeds", "none"],
        default="map",
        help="stuff is what the maps say, is asked for as things are, or is left out (default: "
        "%(default)s)",
    )
    masks.add_argument(
        "--least-share",
        type=float,
        default=0.5,
        metavar="X",
        help="a mask of which better ones leave less is left out (default: %(default)s)",
    )
    masks.add_argument(
        "--least-area",
        type=positive,
        default=16,
        metavar="N",
        help="pixels of the smallest mask, and of the smallest component (default: %(default)s)",
    )
    masks.add_argument(
        "--max-iou",
        type=float,
        default=0.7,
        metavar="X",
        help="without maps: of two masks that overlap more, the worse is left out (default: "
        "%(default)s)",
    )
    add_edges(parser)
    parser.add_argument("--no-edges", action="store_true", help="seeds are whole parts of classes")
    _LABELER.add_to(parser.add_argument_group("labels that are seeds"))
    add_run_arguments(parser)
    add_model_arguments(parser)
    return parser


def _add_seeds(group: Any) -> None:
    group.add_argument(
        "--seeds",
        choices=_SEEDS,
        default="labels",
        help="labels: things as trace-mm panoptic tells them apart; components: what edges cut "
        "masks of things into; segments: of edges alone; boxes: of a file; grounding-dino: boxes "
        "of that detector (default: %(default)s)",
    )
    group.add_argument(
        "--cut",
        type=float,
        default=0.2,
        metavar="X",
        help="components: an edge above it cuts (default: %(default)s)",
    )
    group.add_argument(
        "--boxes", metavar="FILE", help="COCO file, or list of COCO results, with boxes"
    )
    group.add_argument(
        "--box-images",
        metavar="FILE",
        help="COCO file that names the image ids of --boxes (default: that file, else the numbers "
        "in the images' names)",
    )
    group.add_argument(
        "--detector",
        default="IDEA-Research/grounding-dino-base",
        metavar="M",
        help="Grounding DINO: a hub id or folder (default: %(default)s)",
    )
    group.add_argument(
        "--tags",
        choices=["map", "all"],
        default="map",
        help="which names Grounding DINO is given: those in the image's map, or all (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--min-score",
        type=float,
        metavar="X",
        help="boxes with lower scores are left out (default: 0.25 of Grounding DINO, 0 of a file)",
    )


def _add_prompts(group: Any) -> None:
    group.add_argument(
        "--sam",
        default="facebook/sam-vit-huge",
        metavar="M",
        help="SAM, SAM 2, SAM 3, ...: a hub id or folder; none: the seeds are the masks (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--stand-in",
        metavar="DIR",
        help="instead of SAM, grow prompts inside the true edges of these panoptic PNGs: what is "
        "wrong then is the seeds' fault",
    )
    group.add_argument(
        "--prompt",
        nargs="+",
        choices=["box", "points", "mask"],
        default=["box"],
        help="what a prompt consists of (default: box)",
    )
    group.add_argument(
        "--points", type=positive, default=1, metavar="N", help="inside each seed (default: 1)"
    )
    group.add_argument(
        "--other-points",
        type=natural,
        default=0,
        metavar="N",
        help="of the nearest other seeds, which a mask must not hold (default: 0)",
    )
    group.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="X",
        help="share of its sides by which a box grows (default: 0)",
    )
    group.add_argument(
        "--pick",
        choices=["score", "single"],
        default="score",
        help="of three masks the one that SAM thinks best of, or its single one (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--prompts-at-once", type=positive, default=16, metavar="N", help="(default: 16)"
    )
    group.add_argument(
        "--sam-dtype",
        choices=["float32", "float16", "bfloat16"],
        default="float32",
        help="of SAM's weights (default: %(default)s)",
    )


def main() -> int:
    """Check the places, then import what is heavy."""
    arguments = make_parser().parse_args()
    if (arguments.semantic is None) != (arguments.classes is None):
        raise ValueError("--semantic and --classes: give both or none of them")
    work = _instances if arguments.semantic is None else _panoptic
    return work(arguments).report(arguments.out)


def _panoptic(arguments: argparse.Namespace) -> "RunSummary":
    from trace_mm.jobs.places import panoptic_places
    from trace_mm.runs.engine import check_places

    read = [arguments.annotations, arguments.classes, arguments.boxes, arguments.box_images]
    if arguments.stand_in is not None:
        read.append(arguments.stand_in)
    check_places(panoptic_places(arguments.images, arguments.semantic, arguments.out, read=read))
    from projects.sam_seeds.pipeline import SeedJob
    from trace_mm.apis.pseudo_panoptic import run_panoptic
    from trace_mm.jobs.panoptic_inputs import find_inputs
    from trace_mm.panoptic import PanopticLabeler, SemanticMaps, choose_classes
    from trace_mm.runs.group import note_once

    labeler = PanopticLabeler(**_LABELER.given(arguments))
    classes, remark = choose_classes(arguments.classes, arguments.semantic)
    note_once(remark)
    seeder, edges = _seeder(arguments, classes, labeler), _edges(arguments)
    maps = SemanticMaps(arguments.semantic, classes)
    found = find_inputs(arguments.images, maps, arguments.annotations)
    job = SeedJob(found, arguments.out, edges, labeler, seeder, arguments.annotations)
    return run_panoptic(job, **run_options(arguments))


def _instances(arguments: argparse.Namespace) -> "RunSummary":
    from projects.sam_seeds.pipeline import SeedSegmenter
    from trace_mm.apis import expand_inputs
    from trace_mm.apis.segment_photos import segment_photos

    if arguments.seeds not in ("segments", "boxes"):
        raise ValueError(f"--seeds {arguments.seeds} needs --semantic and --classes")
    given = [
        name for name in ("annotations", *_LABELER.given(arguments)) if _is_given(arguments, name)
    ]
    if given or arguments.stuff != "map":
        name = given[0].replace("_", "-") if given else "stuff"
        raise ValueError(f"--{name} has no effect without --semantic")
    seeder = _seeder(arguments, None, None)
    segmenter = SeedSegmenter(seeder, _edges(arguments), arguments.max_iou)
    sources = expand_inputs([arguments.images], exclude=[arguments.out])
    return segment_photos(segmenter, sources, arguments.out, **run_options(arguments))


def _is_given(arguments: argparse.Namespace, name: str) -> bool:
    return getattr(arguments, name) is not None


def _edges(arguments: argparse.Namespace) -> "EdgeSource | None":
    """Where edges come from, if seeds are made of any.

    Raises:
        ValueError: if they are not, and an option says where from; or are needed and refused.
    """
    if arguments.no_edges and arguments.seeds == "segments":
        raise ValueError("--seeds segments are made of edges: --no-edges leaves none")
    if not arguments.no_edges and arguments.seeds not in _OF_BOXES:
        of_edges = argparse.Namespace(**vars(arguments))
        if arguments.edges is not None:
            of_edges.device = None  # of SAM only
        return edge_source(of_edges)
    given = [
        name
        for name in ("edges", *MODEL_OPTIONS)
        if name != "device" and _is_given(arguments, name)
    ]
    if given:
        reason = "--no-edges" if arguments.no_edges else f"--seeds {arguments.seeds}"
        raise ValueError(f"{reason}: --{given[0].replace('_', '-')} has no effect")
    return None


def _seeder(
    arguments: argparse.Namespace,
    classes: "PanopticClasses | None",
    labeler: "PanopticLabeler | None",
) -> Any:
    from projects.sam_seeds.pipeline import Seeder
    from projects.sam_seeds.seeds import Prompting

    prompting = Prompting(
        tuple(arguments.prompt), arguments.points, arguments.other_points, arguments.margin
    )
    return Seeder(
        _source(arguments, classes, labeler),
        prompting,
        _model(arguments),
        arguments.stuff,
        1 if classes is None else classes.num_things,
        arguments.least_share,
        arguments.least_area,
    )


def _source(
    arguments: argparse.Namespace,
    classes: "PanopticClasses | None",
    labeler: "PanopticLabeler | None",
) -> Any:
    """Where seeds come from."""
    from projects.sam_seeds import sources
    from trace_mm.segments import EdgeSegments

    name, stuff = arguments.seeds, arguments.stuff == "seeds"
    if (name == "boxes") != (arguments.boxes is not None):
        raise ValueError("--seeds boxes and --boxes: give both or none of them")
    if name == "boxes":
        return sources.BoxSeeds(
            arguments.boxes,
            arguments.images,
            classes,
            arguments.box_images,
            arguments.min_score or 0.0,
            stuff,
        )
    if name == "segments":
        return sources.SegmentSeeds(EdgeSegments(), classes)
    assert classes is not None and labeler is not None
    if name == "labels":
        return sources.LabelSeeds(labeler, classes)
    if name == "components":
        return sources.ComponentSeeds(classes, arguments.cut, arguments.least_area)
    from projects.sam_seeds.grounding import GroundingDino

    least = 0.25 if arguments.min_score is None else arguments.min_score
    return GroundingDino(
        arguments.detector, classes, arguments.tags, least, stuff, arguments.device
    )


def _model(arguments: argparse.Namespace) -> Any:
    """What is asked; None for nothing."""
    from projects.sam_seeds.promptable import SegmentAnything
    from projects.sam_seeds.stand_in import TrueEdges

    if arguments.stand_in is not None:
        return TrueEdges(arguments.stand_in)
    if arguments.sam == "none":
        return None
    return SegmentAnything(
        arguments.sam,
        arguments.device,
        arguments.sam_dtype,
        arguments.pick,
        arguments.prompts_at_once,
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
