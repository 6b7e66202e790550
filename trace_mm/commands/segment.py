"""``trace-mm segment``: the masks of photos, and a page that shows them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mm.commands.arguments import (
    MODEL_OPTIONS,
    add_edges,
    add_model_arguments,
    edge_source,
    named_device,
    positive,
)
from trace_mm.commands.command_line import EXIT_STATUS, Listed
from trace_mm.commands.executors import add_run_arguments, run_options
from trace_mm.commands.shards import add_image_extension, names_shards, shard_edge_source
from trace_mm.console import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from trace_mm.jobs.edge_sources import EdgeSource
    from trace_mm.jobs.photo_masks import PhotoSegmenter
    from trace_mm.runs.executors import RunOptions
    from trace_mm.runs.summary import RunSummary

_GENERATORS = ("edges", "maskcut", "tokencut", "promerge")
_OF_GENERATORS = ("backbone", "size", "device")
"""Options of a model that those have too which work on a backbone's features."""


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    segment = commands.add_parser(
        "segment",
        help="write the masks of photos, and a page that shows them",
        description="Find the masks of photos without any labels. Writes instances.json (COCO), "
        "overlays and index.html, a page with all masks that any browser opens. A run that was "
        "interrupted goes on where it stopped when the same command is given again.",
        epilog=EXIT_STATUS,
    )
    segment.add_argument(
        "inputs",
        nargs="+",
        metavar="PHOTOS",
        help="image, folder, 'pattern', list of images (.txt), COCO file (.json), or shards: "
        "'shards/{000000..000999}.tar'; all but patterns local or of a store (s3://...)",
    )
    segment.add_argument(
        "--root",
        metavar="DIR",
        help="folder of the images that a list or a COCO file names, local or of a store "
        "(default: where that lies)",
    )
    add_image_extension(segment)
    segment.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder to write; of shards, local or of a store, for trace-mm merge",
    )
    _add_masks(segment)
    _add_results(segment)
    add_run_arguments(segment)
    add_model_arguments(segment)
    segment.set_defaults(run=_run)


def _add_masks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("masks")
    group.add_argument(
        "--generator",
        choices=_GENERATORS,
        default="edges",
        help="what edges enclose; or a method on the features of --backbone, by default the "
        "shipped one (default: edges)",
    )
    group.add_argument(
        "--refine", action="store_true", help="refine the masks by the photo's edges"
    )
    add_edges(group)
    group.add_argument(
        "--top",
        type=positive,
        default=100,
        metavar="N",
        help="keep the N best masks of a photo (default: 100; for labelling 20 are handier)",
    )
    group.add_argument(
        "--min-score",
        type=float,
        default=0.0,
        metavar="S",
        help="leave masks with lower scores out, from 0 to 1 (default: 0)",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    format = group.add_argument(
        "--format",
        nargs="+",
        default=["coco"],
        metavar="F",
        help="also write DIR/F: %(formats)s (default: coco, which is always written)",
    )
    vars(format)["formats"] = Listed(_export_formats)
    group.add_argument(
        "--photos",
        choices=["copy", "link", "none"],
        default="copy",
        help="what becomes of photos in formats that want them beside the masks (default: copy)",
    )
    group.add_argument("--show", action="store_true", help="open the page in a browser at the end")


def _export_formats() -> list[str]:
    """What the help lists: installed packages may add to it, so that it takes a look."""
    from trace_mm.exporters import export_formats

    return export_formats()


def _run(arguments: argparse.Namespace) -> int:
    how = run_options(arguments)
    shards = names_shards(arguments, *arguments.inputs, local=[arguments.edges])
    work = _of_shards if shards else _of_photos
    status = work(arguments, how).report(arguments.out)
    if arguments.show:
        _show(Path(arguments.out))
    return status


def _of_photos(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.jobs.places import segment_folders, segment_places
    from trace_mm.runs.engine import check_places

    out = Path(arguments.out)
    folders = segment_folders(out, arguments.format)
    sources = expand_inputs(arguments.inputs, exclude=folders, tell=note, root=arguments.root)
    check_places(segment_places(sources.paths(), out))  # before anything heavy is loaded
    from trace_mm.apis.segment_photos import further_formats, segment_photos

    further_formats(arguments.format, out)
    return segment_photos(
        _segmenter(arguments, edge_source),
        sources,
        out,
        formats=arguments.format,
        photos=arguments.photos,
        **how,
    )


def _of_shards(arguments: argparse.Namespace, how: "RunOptions") -> "RunSummary":
    from trace_mm.files.shard_names import ShardNames
    from trace_mm.runs.shard_run import check_shard_places

    for option, given in (
        ("root", arguments.root is not None),
        ("format", arguments.format != ["coco"]),
        ("show", arguments.show),
    ):
        if given:
            raise ValueError(f"--{option} has no effect with shards")
    check_shard_places(ShardNames(arguments.inputs), arguments.out)  # before anything is loaded
    from trace_mm.apis.shard_runs import segments_of_shards
    from trace_mm.jobs.shard_inputs import ShardEdges

    stored = None if arguments.edges is None else ShardNames([arguments.edges])

    def source(chosen: argparse.Namespace) -> "EdgeSource":
        found = shard_edge_source(chosen)
        return ShardEdges(found) if isinstance(found, ShardNames) else found

    return segments_of_shards(
        _segmenter(arguments, source),
        arguments.inputs,
        arguments.out,
        edges=stored,
        image=arguments.image_extension,
        **how,
    )


def _segmenter(
    arguments: argparse.Namespace, source: "Callable[[argparse.Namespace], EdgeSource]"
) -> "PhotoSegmenter":
    """What finds masks; nothing is loaded.

    Args:
        arguments: of the command line.
        source: where edges come from, by such arguments.

    Raises:
        FileNotFoundError: if there is no such model or folder.
        ValueError: if an option is wrong or has no effect.
    """
    from trace_mm.apis.segmenter import needs_edges, photo_segmenter

    name, of_edges = arguments.generator, argparse.Namespace(**vars(arguments))
    given: dict[str, Any] = {}
    if name != "edges":
        device, elsewhere = named_device(arguments)
        given = {"backbone": arguments.backbone, "size": arguments.size}
        given |= {"device": device, "elsewhere": elsewhere}
        of_edges.backbone = of_edges.size = None
        if arguments.edges is not None:
            of_edges.device = None  # of the backbone only
    edges = None
    if needs_edges(name, arguments.refine):
        edges = source(of_edges)
    else:
        _check_no_effect(arguments)
    return photo_segmenter(
        name,
        edges,
        refine=arguments.refine,
        top=arguments.top,
        min_score=arguments.min_score,
        **given,
    )


def _check_no_effect(arguments: argparse.Namespace) -> None:
    """Refuse options of edges where there are none.

    Raises:
        ValueError: if there is one.
    """
    for option in ("edges", *MODEL_OPTIONS):
        if option not in _OF_GENERATORS and getattr(arguments, option) is not None:
            raise ValueError(
                f"--{option.replace('_', '-')} has no effect on {arguments.generator} without "
                f"--refine"
            )


def _show(out: Path) -> None:
    """Open the page in a browser, or say where it is."""
    import webbrowser

    from trace_mm.jobs.places import GALLERY_FILE
    from trace_mm.runs.group import is_leader

    if not is_leader():
        return
    address = (out / GALLERY_FILE).resolve().as_uri()
    try:
        opened = webbrowser.open(address)
    except webbrowser.Error:
        opened = False
    if not opened:
        print(f"there is no browser here: open {address}")
