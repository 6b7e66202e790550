"""The ``trace-mm`` command. Heavy imports wait until the arguments are known to be sound."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trace_mm import __version__
from trace_mm.commands.arguments import (
    BACKBONE_HELP,
    add_dtype,
    add_model_arguments,
    build_inferencer,
    positive,
    tell_model,
)
from trace_mm.commands.backbones import add_backbones
from trace_mm.commands.command_line import EXIT_STATUS, SOME_FAILED, Parser, run_command
from trace_mm.commands.panoptic import add_panoptic
from trace_mm.commands.refine import add_refine
from trace_mm.console import note


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; those of the process if None.

    Returns:
        The exit status.
    """

    def run() -> int:
        arguments = _build_parser().parse_args(argv)
        status: int = arguments.run(arguments)
        return status

    return run_command(run, "trace-mm")


def _build_parser() -> Parser:
    parser = Parser(
        prog="trace-mm",
        description="Instance edges from the self-attention of a text-to-image diffusion model.",
    )
    parser.add_argument("--version", action="version", version=f"trace-mm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    edges = commands.add_parser(
        "edges",
        help="write the instance edges of images",
        description="Write the instance edges of images to a folder. A run that was interrupted "
        "goes on where it stopped when the same command is given again.",
        epilog=EXIT_STATUS,
    )
    edges.add_argument("inputs", nargs="+", metavar="INPUT", help="image, folder or 'pattern'")
    edges.add_argument("--out", required=True, metavar="DIR", help="where results go")
    edges.add_argument(
        "--save",
        nargs="+",
        default=["png"],
        choices=["png", "npz", "overlay"],
        help="edges as 8-bit PNG, as float with scores, drawn over the image (default: png)",
    )
    edges.add_argument("--batch-size", type=positive, default=1, metavar="N")
    edges.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the results of an earlier run with other settings and start anew",
    )
    add_model_arguments(edges)
    edges.set_defaults(run=_run_edges)
    demo = commands.add_parser(
        "demo",
        help="make a report of what the model sees in a few images",
        description="Write a folder with edges and a self-contained report.html. Without photos "
        "it shows six drawn scenes.",
        epilog=EXIT_STATUS,
    )
    demo.add_argument("inputs", nargs="*", metavar="PHOTO", help="image, folder or 'pattern'")
    demo.add_argument("--out", default="trace_demo", metavar="DIR", help="(default: trace_demo)")
    add_model_arguments(demo)
    demo.set_defaults(run=_run_demo)
    add_refine(commands)
    add_panoptic(commands)
    add_backbones(commands)
    _add_export(commands)
    return parser


def _add_export(commands: Any) -> None:
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
    export.set_defaults(run=_run_export)


def _run_edges(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.apis.places import check_edge_places, result_folders

    out = Path(arguments.out)
    sources = expand_inputs(arguments.inputs, exclude=result_folders(out), tell=note)
    check_edge_places(sources, out)  # before anything heavy is loaded, which takes time
    tell_model(arguments)
    from trace_mm.apis.folder_run import run_folder

    inferencer = build_inferencer(arguments)
    summary = run_folder(
        inferencer.predict_images,
        sources,
        out,
        settings=inferencer.settings(),
        save=arguments.save,
        batch_size=arguments.batch_size,
        overwrite=arguments.overwrite,
    )
    print(
        f"{len(summary.done)} done, {len(summary.skipped)} were done before, "
        f"{len(summary.failed)} failed: {out}"
    )
    for reason in summary.failed.values():
        print(f"  {reason}", file=sys.stderr)
    return SOME_FAILED if summary.failed else 0


def _run_demo(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.apis.places import check_demo_places, result_folders

    out, photos = Path(arguments.out), []
    if arguments.inputs:
        photos = expand_inputs(arguments.inputs, exclude=result_folders(out), tell=note)
    check_demo_places(photos, out)  # before anything heavy is loaded
    tell_model(arguments)
    from trace_mm.apis.demo import demo_scenes, write_demo

    images = photos or demo_scenes()
    report = write_demo(build_inferencer(arguments), images, out)
    print(f"wrote {report}")
    return 0


def _run_export(arguments: argparse.Namespace) -> int:
    note(f"loading {arguments.checkpoint} ...")
    from trace_mm.apis.export import export_student

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
    return 0


if __name__ == "__main__":
    sys.exit(main())
