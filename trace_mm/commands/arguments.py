"""What several subcommands of ``trace-mm`` take."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trace_mm.apis import TraceInferencer
    from trace_mm.jobs.edge_sources import EdgeModel, StoredEdges

BACKBONE_HELP = "folder or hub id of a student's backbone, if it is not where the student says"
_BACKBONE_OR_TEACHER = (
    "read edges out of this model, without training: a name of 'trace-mm backbones', a folder, a "
    "hub id, timm:NAME, transformers:HUB_ID or a config file. With --model: " + BACKBONE_HELP
)

MODEL_OPTIONS = (
    "model",
    "method",
    "backbone",
    "device",
    "dtype",
    "seed",
    "timestep",
    "noise_draws",
    "size",
    "tile",
    "object_size",
    "prompts",
)


_PREDICTION_OPTIONS = ("timestep", "noise_draws", "size", "tile", "object_size", "seed")


def add_dtype(parser: Any, text: str) -> None:
    """Add ``--dtype``; ``text`` says what it does."""
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], help=text)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`build_inferencer` reads."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        metavar="M",
        help="shipped name, folder of an export, checkpoint, diffusers folder, hub id or config "
        "file (default: the model that comes with this package)",
    )
    group.add_argument(
        "--method",
        choices=["student", "teacher"],
        help="one pass of a trained student, or the diffusion model itself without any training "
        "(default: student)",
    )
    group.add_argument("--backbone", metavar="NAME_OR_CONFIG", help=_BACKBONE_OR_TEACHER)
    group.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 (default: cuda if any)")
    add_dtype(group, "(default: what a config says or a student was trained in, else float32)")
    group.add_argument("--seed", type=natural, metavar="N", help="of the noise (default: 0)")
    group.add_argument(
        "--timestep",
        type=timestep,
        metavar="iep|T",
        help="search for the timestep where instances emerge (teacher only), or read this one",
    )
    group.add_argument(
        "--noise-draws",
        type=positive,
        metavar="N",
        help="average the attention over so many draws of noise (teacher only)",
    )
    group.add_argument(
        "--size",
        type=positive,
        metavar="N",
        help="show images to the model at N x N pixels or the same area (default: the model's)",
    )
    group.add_argument(
        "--tile",
        type=tile,
        nargs="?",
        const="auto",
        metavar="N",
        help="cut larger images into tiles of N pixels; without N, of the model's size (default: "
        "not)",
    )
    group.add_argument(
        "--object-size",
        type=object_size,
        metavar="PIXELS|auto",
        help="instead of --tile: cut images into tiles in which the smallest objects that matter, "
        "of so many pixels from side to side, are shown as large as the model needs; auto finds "
        "them in each image that has many objects of one size",
    )
    group.add_argument(
        "--prompts",
        metavar="FILE",
        help='a prompt for each image, JSON: {"image name without suffix": "A photo of 2 cats"} '
        "(default: the empty prompt)",
    )


def add_edges(parser: Any) -> None:
    """Add ``--edges``, which :func:`edge_source` reads."""
    parser.add_argument(
        "--edges",
        metavar="DIR",
        help="read edges from this folder, such as what trace-mm edges wrote, instead of a model; "
        "of images in shards, from such shards",
    )


def positive(text: str) -> int:
    """An integer of at least 1, for ``add_argument(type=...)``."""
    return _integer(text, 1)


def natural(text: str) -> int:
    """An integer of at least 0, for ``add_argument(type=...)``."""
    return _integer(text, 0)


def share(text: str) -> float:
    """A number from 0 to 1 of a command line."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:  # also false for nan
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")
    return number


def positive_number(text: str) -> float:
    """A finite number above 0, for ``add_argument(type=...)``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, got {text!r}")
    return value


def timestep(text: str) -> int | str:
    """A timestep or "iep", for ``add_argument(type=...)``."""
    return text if text == "iep" else natural(text)


def model_name(arguments: argparse.Namespace) -> str:
    """What a person is told that is loaded."""
    return str(arguments.model or arguments.backbone or "the shipped model")


def tile(text: str) -> int | str:
    """A number of pixels or "auto", for ``add_argument(type=...)``."""
    return text if text == "auto" else positive(text)


def object_size(text: str) -> float | str:
    """A number of pixels or "auto", for ``add_argument(type=...)``."""
    return text if text == "auto" else positive_number(text)


def build_inferencer(arguments: argparse.Namespace) -> "TraceInferencer":
    """The model that the arguments of :func:`add_model_arguments` choose.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if an option is wrong.
    """
    from trace_mm.apis import TraceInferencer

    options = {name: getattr(arguments, name) for name in _PREDICTION_OPTIONS}
    smallest = options.pop("object_size")
    return TraceInferencer(
        arguments.model,
        arguments.method,
        arguments.device,
        arguments.dtype,
        backbone=arguments.backbone,
        model_options={} if smallest is None else {"object_size": smallest},
        prompts=arguments.prompts,
        **options,
    )


def edge_model(arguments: argparse.Namespace) -> "EdgeModel | StoredEdges":
    """What the arguments of :func:`add_model_arguments` choose, checked but not loaded.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if an option is wrong.
    """
    from trace_mm.jobs.edge_sources import edge_source_of
    from trace_mm.models.devices import check_device
    from trace_mm.models.model_config import model_config

    given = {name: getattr(arguments, name) for name in _PREDICTION_OPTIONS}
    options = {name: value for name, value in given.items() if value is not None}
    name, elsewhere = named_device(arguments)
    device = check_device(name, elsewhere)
    config = model_config(
        arguments.model,
        arguments.method,
        arguments.dtype,
        options,
        arguments.backbone,
        device,
        arguments.prompts,
    )
    return edge_source_of(config.model, device, elsewhere, model_name(arguments))


def named_device(arguments: argparse.Namespace) -> tuple[str | None, bool]:
    """The device that is asked for, and whether it is another machine's, so that this needs none.

    Of several, which are of one kind, the first.
    """
    devices = getattr(arguments, "devices", None) or [arguments.device]
    return devices[0], bool(getattr(arguments, "gpus_per_worker", None))


def check_needs_no_model(arguments: argparse.Namespace) -> None:
    """Refuse options of a model beside ``--edges``.

    Raises:
        ValueError: if there is one.
    """
    given = [name for name in MODEL_OPTIONS if getattr(arguments, name) is not None]
    if given:
        raise ValueError(f"--edges needs no model: --{given[0].replace('_', '-')} has no effect")


def note_no_gain(arguments: argparse.Namespace, text: str) -> None:
    """Say what the edges of the shipped model do not do for photos, if these are what is used."""
    from trace_mm.runs.group import note_once

    others = (arguments.edges, arguments.model, arguments.backbone)
    if others == (None, None, None) and arguments.preset in (None, "photos"):
        note_once(f"{text}; for drawn scenes: --model trace-tiny --preset scenes")


def edge_source(arguments: argparse.Namespace) -> "EdgeModel | StoredEdges":
    """Edges from the folder of :func:`add_edges`, else of the model of :func:`edge_model`.

    Raises:
        FileNotFoundError: if there is no such folder or model.
        ValueError: if an option is wrong, or of a model beside a folder.
    """
    from trace_mm.jobs.edge_sources import StoredEdges

    if arguments.edges is not None:
        check_needs_no_model(arguments)
        return StoredEdges(Path(arguments.edges))
    return edge_model(arguments)
