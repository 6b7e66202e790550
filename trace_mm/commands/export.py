"""``trace-mm export``: a trained student as a folder for a model hub."""

import argparse
from pathlib import Path
from typing import Any

from trace_mm.commands.arguments import BACKBONE_HELP, add_dtype
from trace_mm.console import note


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    export = commands.add_parser(
        "export",
        help="write a trained student as a folder for a model hub",
        description="Write a trained student to a folder that --model loads, with a model card, "
        "ready to upload to a model hub. The folder appears whole or not at all.",
        epilog="exit status: 0 done, 1 the folder could not be written, 2 unusable input",
    )
    export.add_argument("checkpoint", metavar="CHECKPOINT", help=".pth of a training, or student")
    export.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    export.add_argument(
        "--merge",
        action="store_true",
        help="put LoRA into the diffusion model and write all of it, so that the folder needs "
        "nothing else",
    )
    add_dtype(export, "round weights (default: as they are)")
    export.add_argument("--backbone", metavar="B", help=BACKBONE_HELP)
    export.add_argument(
        "--trained-on",
        metavar="TEXT",
        help="the training images, for the card (default: what the checkpoint says)",
    )
    export.add_argument(
        "--license", metavar="ID", help="for the card (default: the shipped model's, else other)"
    )
    export.add_argument(
        "--overwrite", action="store_true", help="replace the folder of an earlier export"
    )
    export.add_argument(
        "--push",
        metavar="REPO",
        help="then put the folder on the hub, as owner/name; needs 'hf auth login'",
    )
    export.add_argument("--private", action="store_true", help="make a new hub repository private")
    export.add_argument(
        "--dry-run", action="store_true", help="with --push: list what would be put on the hub"
    )
    export.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.push is None and (arguments.private or arguments.dry_run):
        raise ValueError("--private and --dry-run say how to --push: name a repository")
    note(f"loading {arguments.checkpoint} ...")
    from trace_mm.publish import export_student

    folder = export_student(
        arguments.checkpoint,
        arguments.out,
        merge=arguments.merge,
        dtype=arguments.dtype,
        backbone=arguments.backbone,
        trained_on=arguments.trained_on,
        license=arguments.license,
        overwrite=arguments.overwrite,
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"wrote {folder} ({size / 1e6:.1f} MB)")
    if arguments.push is not None:
        _push(folder, arguments)
    return 0


def _push(folder: Path, arguments: argparse.Namespace) -> None:
    from trace_mm.publish import plan_upload, push_student

    upload = plan_upload(folder, arguments.push)
    for line in upload.describe():
        print(line)
    if arguments.dry_run:
        print("nothing was put on the hub: --dry-run")
    else:
        print(f"wrote {push_student(upload, private=arguments.private)}")
