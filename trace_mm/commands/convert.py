"""``trace-mm convert``: masks in the formats of labelling and training programs."""

import argparse
from typing import Any

from trace_mm.commands.command_line import EXIT_STATUS, Listed
from trace_mm.commands.mask_arguments import add_reading


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    convert = commands.add_parser(
        "convert",
        help="write masks as COCO, YOLO, LabelMe, CVAT, VOC, Label Studio or PNG",
        description="Read masks in any format that trace-mm refine reads, and write them in those "
        "of labelling and training programs. Each appears as a folder DIR/FORMAT, whole or not at "
        "all.",
        epilog=EXIT_STATUS,
    )
    convert.add_argument("masks", metavar="MASKS", help="file or folder of masks")
    convert.add_argument(
        "--images",
        required=True,
        metavar="DIR",
        help="folder of their images, local or of a store (s3://...)",
    )
    format = convert.add_argument(
        "--format",
        nargs="+",
        required=True,
        metavar="F",
        help="to write, one or several: %(formats)s",
    )
    vars(format)["formats"] = Listed(_export_formats)
    convert.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    convert.add_argument(
        "--photos",
        choices=["copy", "link", "none"],
        default="copy",
        help="what becomes of photos in formats that want them beside the masks (yolo, labelme, "
        "voc): copy them, link to them, or leave them out (default: copy)",
    )
    add_reading(convert, "--from", "on stderr")
    convert.add_argument(
        "--overwrite", action="store_true", help="replace folders of an earlier conversion"
    )
    convert.set_defaults(run=_run)


def _export_formats() -> list[str]:
    """What the help lists: installed packages may add to it, so that it takes a look."""
    from trace_mm.exporters import export_formats

    return export_formats()


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.convert_masks import convert_masks

    return convert_masks(
        arguments.masks,
        arguments.images,
        arguments.out,
        arguments.format,
        source_format=arguments.source_format,
        annotations=arguments.annotations,
        allow_pickle=arguments.allow_pickle,
        crowds=arguments.crowds,
        skip_bad=arguments.skip_bad,
        photos=arguments.photos,
        overwrite=arguments.overwrite,
    ).report(arguments.out)
