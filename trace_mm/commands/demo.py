"""``trace-mm demo``: a report of what the model sees in a few images."""

import argparse
from pathlib import Path
from typing import Any

from trace_mm.commands.arguments import add_model_arguments, build_inferencer, model_name
from trace_mm.commands.command_line import EXIT_STATUS
from trace_mm.console import note

_FOR_SCENES = "trace-tiny"  # the shipped student that was trained on drawn scenes
_FOR_PHOTOS = "trace-tiny-photo"


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    demo = commands.add_parser(
        "demo",
        help="make a report of what the model sees in a few images",
        description="Write a folder with edges and a self-contained report.html. Without photos "
        "it shows drawn scenes and two photos that come with the package.",
        epilog=EXIT_STATUS,
    )
    demo.add_argument("inputs", nargs="*", metavar="PHOTO", help="image, folder or 'pattern'")
    demo.add_argument("--out", default="trace_demo", metavar="DIR", help="(default: trace_demo)")
    add_model_arguments(demo)
    demo.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.apis.inputs import expand_inputs
    from trace_mm.jobs.places import check_demo_places, result_folders

    out, photos = Path(arguments.out), None
    if arguments.inputs:
        photos = expand_inputs(arguments.inputs, exclude=result_folders(out), tell=note)
    check_demo_places(photos.paths() if photos else (), out)  # before anything heavy is loaded
    shipped = photos is None and not (arguments.model or arguments.backbone)
    if shipped:
        arguments.model = _FOR_SCENES
    note(f"loading {model_name(arguments)} ...")
    from trace_mm.demo import demo_photos, demo_scenes, write_demo

    model = build_inferencer(arguments)
    if photos is not None:
        report = write_demo(model, photos, out)
    elif shipped:
        arguments.model = _FOR_PHOTOS
        also = [(build_inferencer(arguments), demo_photos())]
        report = write_demo(model, demo_scenes(), out, also)
    else:
        report = write_demo(model, [*demo_scenes(), *demo_photos()], out)
    print(f"wrote {report}")
    return 0
