"""``trace-mm score``: finished edges, masks, panoptic or semantic maps against annotations."""

import argparse
from pathlib import Path
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
    "classes": "--classes",
    "image_pq": "--image-pq",
    "by_category": "--by-category",
}


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    score = commands.add_parser(
        "score",
        help="score finished edges, masks, panoptic or semantic maps against annotations",
        description="Score edge maps, instance masks, panoptic or semantic maps against "
        "annotations of the same images. The files tell what they hold, but for semantic maps; no "
        "photos are needed.",
        epilog="exit status: 0 done, 1 the scores could not be written, 2 unusable input",
    )
    score.add_argument(
        "result",
        metavar="RESULT",
        help="folder or shards ('edges/{000..999}.tar') of edge maps; COCO JSON of instances with "
        "scores, or of results; COCO panoptic JSON; with --semantic, folder of maps of class "
        "numbers",
    )
    score.add_argument(
        "truth",
        metavar="TRUTH",
        help="for edges a folder of id maps (.png) or of BSDS500 (.mat), or a COCO JSON of "
        "instances or panoptic maps; with --semantic, folder of a benchmark's maps; for others a "
        "JSON of the same kind",
    )
    score.add_argument("--partial", action="store_true", help="score only images that RESULT has")
    score.add_argument("--out", metavar="FILE", help="JSON file for all scores and counts")
    score.add_argument("--workers", type=natural, metavar="N", help="processes to count maps in")
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
    masks.add_argument(
        "--classes",
        action="store_const",
        const=True,
        help="also AP and AR with regard to classes: a detection matches instances of its own",
    )
    score.add_argument(
        "--image-pq",
        action="store_const",
        const=True,
        help="of masks and panoptic maps also PQ of each image, all instances as one class, "
        "averaged over images, as is usual for microscopy",
    )
    semantic = score.add_argument_group("semantic maps")
    semantic.add_argument(
        "--semantic",
        metavar="NAME|FILE",
        help="score semantic maps by this benchmark's protocol: voc21, voc20, context60, "
        "context59, coco-object, coco-stuff171, cityscapes19, ade150; or a .json list of the "
        "classes that numbers from 0 mean",
    )
    panoptic = score.add_argument_group("panoptic maps")
    panoptic.add_argument(
        "--result-folder", metavar="DIR", help="PNGs of RESULT (default: as --truth-folder)"
    )
    panoptic.add_argument(
        "--by-category",
        action="store_const",
        const=True,
        help="a line for each category too, also of semantic maps",
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
    from trace_mm.apis.score_files import SEMANTIC, fitting_kind, known_options, score_files
    from trace_mm.files import check_outputs

    semantic = _semantic(arguments.semantic)
    kind = SEMANTIC if semantic else fitting_kind(arguments.result, arguments.truth)
    given = {name: getattr(arguments, name) for name in _OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in known_options(kind):
            raise ValueError(f"{arguments.result}: holds {kind}: {_OPTIONS[name]} has no effect")
    places = [arguments.result, arguments.truth, arguments.truth_folder, arguments.result_folder]
    check_outputs(files=[arguments.out], read=places)
    scores = score_files(
        arguments.result,
        arguments.truth,
        partial=arguments.partial,
        progress=True,
        semantic=semantic,
        **given,
    )
    scores.report(arguments.out)
    return 0


def _semantic(given: str | None) -> str | list[str] | None:
    """The name of a benchmark, or the classes that a file lists.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no list of names.
    """
    if given is None or not given.endswith(".json"):
        return given
    from trace_mm.files.json_file import read_json

    names = read_json(Path(given), "list of classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{given}: must hold a list of the names of classes")
    return names
