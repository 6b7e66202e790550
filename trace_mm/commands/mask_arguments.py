"""How masks that another method made are read: what several subcommands take."""

from typing import Any

from trace_mm.commands.command_line import Listed


def add_reading(parser: Any, option: str, noted: str) -> None:
    """Add what :func:`trace_mm.refinement.open_masks` and the search for images take.

    Args:
        parser: of the subcommand.
        option: what the format of the masks is called; it becomes ``source_format``.
        noted: where bad masks are noted that ``--skip-bad`` leaves out.
    """
    format = parser.add_argument(
        option,
        dest="source_format",
        default="auto",
        metavar="F",
        help="format of the masks that are read: %(formats)s (default: recognised)",
    )
    vars(format)["formats"] = Listed(_mask_formats)
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="COCO file whose images tell the names of ids, where the masks have ids only",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help=f"leave out masks that cannot be used, and note them {noted}",
    )
    parser.add_argument(
        "--crowds",
        choices=["auto", "keep", "skip"],
        default="auto",
        help="regions marked iscrowd: leave them out unless all masks are marked so, take them as "
        "masks, or leave them out (default: auto)",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read masks that are Python pickles (IRN): only from people you trust",
    )


def _mask_formats() -> list[str]:
    """What the help lists: installed packages may add to it, so that it takes a look."""
    from trace_mm.refinement.readers import mask_formats

    return mask_formats()
