"""``trace-mm app``: a page in a browser that finds the masks of photos."""

import argparse
from typing import Any

from trace_mm.commands.arguments import natural, positive
from trace_mm.console import note


def add_subcommand(commands: Any) -> None:
    """Add it to an argument parser's subparsers."""
    app = commands.add_parser(
        "app",
        help="open a page in the browser: photos in, edges and masks out",
        description="Serve a page, to this machine alone unless --host says otherwise, until "
        "Ctrl+C. Photos stay on this machine, and no file is left behind. Needs Gradio.",
    )
    app.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="address to listen on; 0.0.0.0 lets the whole network in, without a password "
        "(default: 127.0.0.1)",
    )
    app.add_argument(
        "--port", type=natural, default=7860, metavar="N", help="0 for a free one (default: 7860)"
    )
    app.add_argument("--open", action="store_true", help="open the page in the browser")
    app.add_argument(
        "--max-pixels",
        type=positive,
        default=16_000_000,
        metavar="N",
        help="refuse larger photos (default: 16000000)",
    )
    app.add_argument(
        "--max-megabytes",
        type=positive,
        default=32,
        metavar="N",
        help="refuse larger files (default: 32)",
    )
    app.add_argument("--model", metavar="M", help="a student to offer besides the shipped ones")
    app.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 (default: cuda if any)")
    app.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from trace_mm.app.environment import check_gradio

    check_gradio()  # before anything heavy is loaded
    note("loading ...")
    from trace_mm.app.photos import Limits
    from trace_mm.app.server import served, stop_at_signals
    from trace_mm.app.session import AppModels

    limits = Limits(arguments.max_pixels, arguments.max_megabytes)
    models = AppModels(arguments.model, arguments.device)
    with stop_at_signals() as stop:
        where = arguments.host, arguments.port, arguments.open
        with served(models, limits, *where) as address:
            print(f"the page is at {address} until Ctrl+C", flush=True)
            stop.wait()
    return 0
