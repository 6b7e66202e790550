"""``trace-mm score``: finished edges, masks or panoptic maps against annotations."""

import argparse
from typing import Any

from trace_mm.commands.arguments import natural, positive

_OPTIONS = {
    "tolerance": "--tolerance",
    "tolerances": "--tolerances",
    "suppress": "--thin",
    "void": "--void",
    "workers": "--workers",
    "truth_folder": "--truth-folder",
    "result_folder": "--result-folder",
    "protocol": "--protocol",
    "iou_type": "--boxes",
    "max_detections": "--max-detections",
    "by_category": "--by-category",
}


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    score = commands.add_parser(
        "score",
        help="score finished edges, masks or panoptic maps against annotations",
        description="Score edge maps, instance masks or panoptic maps against annotations of the "
        "same images. The files tell what they hold; no photos are needed.",
        epilog="exit status: 0 done, 1 the scores could not be written, 2 unusable input",
    )
    score.add_argument(
        "result",
        metavar="RESULT",
        help="folder or shards ('edges/{000..999}.tar') of edge maps; COCO JSON of instances with "
        "scores, or of results; COCO panoptic JSON",
    )
    score.add_argument(
        "truth",
        metavar="TRUTH",
        help="for edges a folder of id maps (.png) or of BSDS500 (.mat), or a COCO JSON of "
        "instances or panoptic maps; for others a JSON of the same kind",
    )
    score.add_argument("--partial", action="store_true", help="score only images that RESULT has")
    score.add_argument("--out", metavar="FILE", help="JSON file for all scores and counts")
    score.add_argument(
        "--workers", type=natural, metavar="N", help="processes to count edges or panoptic maps in"
    )
    score.add_argument(
        "--truth-folder",
        metavar="DIR",
        help="PNGs of a panoptic TRUTH (default: 'panoptic', or its name, beside it)",
    )
    _add_edges(score.add_argument_group("edge maps"))
    masks = score.add_argument_group("instance masks")
    masks.add_argument(
        "--protocol",
        choices=["coco", "voc2012"],
        help="voc2012 leaves out unlabelled pixels and difficult instances (default: coco)",
    )
    masks.add_argument(
        "--boxes",
        dest="iou_type",
        action="store_const",
        const="bbox",
        help="score boxes instead of masks",
    )
    masks.add_argument(
        "--max-detections",
        type=positive,
        nargs="+",
        metavar="N",
        help="detections an image, those of the highest scores; AP takes the most (default: 1 10 "
        "100)",
    )
    panoptic = score.add_argument_group("panoptic maps")
    panoptic.add_argument(
        "--result-folder", metavar="DIR", help="PNGs of RESULT (default: as --truth-folder)"
    )
    panoptic.add_argument(
        "--by-category", action="store_const", const=True, help="a line for each category too"
    )
    score.set_defaults(run=_run)


def _add_edges(group: Any) -> None:
    group.add_argument(
        "--tolerance",
        type=float,
        metavar="F",
        help="matching radius as a fraction of the image's diagonal (default: 0.0075)",
    )
    group.add_argument(
        "--tolerances", type=float, nargs="+", metavar="F", help="ODS at these radii too"
    )
    group.add_argument(
        "--thin",
        dest="suppress",
        action="store_const",
        const=False,
        help="the maps are thin already: no non-maximum suppression",
    )
    group.add_argument(
        "--void",
        type=natural,
        metavar="ID",
        help="id of unlabelled pixels: no border of theirs counts",
    )


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.score_files import fitting_kind, known_options, score_files
    from trace_mm.files import check_outputs

    kind = fitting_kind(arguments.result, arguments.truth)
    given = {name: getattr(arguments, name) for name in _OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in known_options(kind):
            raise ValueError(f"{arguments.result}: holds {kind}: {_OPTIONS[name]} has no effect")
    places = [arguments.result, arguments.truth, arguments.truth_folder, arguments.result_folder]
    check_outputs(files=[arguments.out], read=places)
    scores = score_files(
        arguments.result, arguments.truth, partial=arguments.partial, progress=True, **given
    )
    scores.report(arguments.out)
    return 0
