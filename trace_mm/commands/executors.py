"""Where a command works: options that several subcommands and tools take."""

import argparse
from typing import TYPE_CHECKING

from trace_mm.commands.arguments import natural, positive
from trace_mm.runs.group import is_launched

if TYPE_CHECKING:
    from trace_mm.runs.executors import Executor, RayExecutor, RunOptions

_EXECUTORS = ("local", "torchrun", "ray")
_RAY_OPTIONS = ("ray_address", "gpus_per_worker")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`run_options` reads."""
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=1,
        metavar="N",
        help="images that the model is given at a time (default: 1)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the results of an earlier run with other settings and start anew",
    )
    add_executor_arguments(parser)


def run_options(arguments: argparse.Namespace) -> "RunOptions":
    """How the arguments of :func:`add_run_arguments` say that a run is done.

    Raises:
        ImportError: if Ray is asked for and not there.
        ValueError: if an option makes no sense, or has no effect.
    """
    return {
        "executor": build_executor(arguments),
        "batch_size": arguments.batch_size,
        "overwrite": arguments.overwrite,
    }


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`build_executor` reads."""
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--executor",
        choices=_EXECUTORS,
        help="this machine; the processes that torchrun or srun has started; or a Ray cluster "
        "(default: torchrun if one of these has started it, else local)",
    )
    group.add_argument(
        "--workers",
        type=natural,
        metavar="N",
        help="processes that each hold a model: of this machine, of each that torchrun has "
        "started, or of a Ray cluster (default: 0, the command's own process)",
    )
    group.add_argument(
        "--devices",
        type=_devices,
        metavar="0,1,2",
        help="spread the workers over these GPUs, one each if --workers says nothing else",
    )
    group.add_argument(
        "--ray-address",
        metavar="A",
        help="of the Ray cluster: HOST:6379, auto for the one that runs on this machine, local for "
        "a new one (default: $RAY_ADDRESS, else auto, else local)",
    )
    group.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="X",
        help="GPUs that Ray gives each worker, such as 0.5 (default: 1 if this machine has a GPU, "
        "else 0)",
    )


def build_executor(arguments: argparse.Namespace) -> "Executor":
    """Where the arguments of :func:`add_executor_arguments` say.

    If that is this process, it keeps from now on what memory it frees.

    Raises:
        ImportError: if Ray is asked for and not there.
        ValueError: if an option makes no sense, or has no effect.
    """
    launched = is_launched()
    name = arguments.executor or ("torchrun" if launched else "local")
    if name == "torchrun" and not launched:
        raise ValueError(
            "--executor torchrun: nothing has started this process as one of several; start it by "
            "torchrun --nproc-per-node 2 -m trace_mm ..., or by srun"
        )
    if name == "ray":
        return _ray(arguments, launched)
    for option in _RAY_OPTIONS:
        if getattr(arguments, option) is not None:
            raise ValueError(f"{_option(option)} has no effect without --executor ray")
    if arguments.devices and getattr(arguments, "device", None) is not None:
        raise ValueError("--device and --devices: give one of them")
    from trace_mm.runs.executors import LocalExecutor
    from trace_mm.runs.spawned import keep_freed_memory

    keep_freed_memory()
    return LocalExecutor(arguments.workers or 0, arguments.devices or ())


def _ray(arguments: argparse.Namespace, launched: bool) -> "RayExecutor":
    if launched:
        raise ValueError("--executor ray: Ray starts the workers; start the command by itself")
    if arguments.devices:
        raise ValueError("--devices has no effect with --executor ray: see --gpus-per-worker")
    if arguments.gpus_per_worker and (getattr(arguments, "device", None) or "cuda") != "cuda":
        raise ValueError(f"--device {arguments.device}: Ray says which GPU a worker computes on")
    if not arguments.workers:
        raise ValueError("--executor ray: say how many --workers the cluster is to have")
    from trace_mm.runs.executors import RayExecutor

    return RayExecutor(arguments.workers, arguments.ray_address, arguments.gpus_per_worker)


def _devices(text: str) -> tuple[str, ...]:
    """Devices of one kind, for ``add_argument(type=...)``; numbers are those of GPUs."""
    names = [name.strip() for name in text.split(",")]
    devices = tuple(f"cuda:{name}" if name.isdigit() else name for name in names)
    if not all(devices) or len({device.partition(":")[0] for device in devices}) > 1:
        raise argparse.ArgumentTypeError(f"must be devices of one kind, such as 0,1, got {text!r}")
    if len(set(devices)) < len(devices):
        raise argparse.ArgumentTypeError(f"names a device twice: {text!r}")
    return devices


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
