"""Where models compute."""

from __future__ import annotations

import ctypes
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_module
from trace_mm.runs.group import local_rank

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_module("torch")

_DRIVER = {"win32": "nvcuda.dll"}.get(sys.platform, "libcuda.so.1")


def check_device(device: str | torch.device | None, elsewhere: bool = False) -> str:
    """The device that somebody names; a GPU if there is one, else the CPU, for None.

    Of several processes that a launcher has started, each takes a GPU of its own. Torch is imported
    only where there may be a GPU, or another device than the CPU is named.

    Args:
        device: its name.
        elsewhere: whether it is of another machine, of which is known only that it has GPUs.

    Returns:
        Its name, such as ``"cuda:1"``.

    Raises:
        ValueError: if there is no such device, or nothing can be computed on it.
    """
    if device is None and elsewhere:
        return "cuda"
    if device is None:
        return _own_gpu() if _may_have_gpu() and torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"{device!r} is not a device; cpu, cuda or cuda:1 are") from None
    if elsewhere:
        return str(chosen)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device} asked for, but torch finds no usable NVIDIA GPU")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device} asked for, but there are {torch.cuda.device_count()}")
    if chosen.type not in ("cpu", "cuda"):
        try:
            (torch.zeros(1, device=chosen) + 1).item()
        except Exception as error:  # each kind of device fails in its own way
            cause = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(
                f"device {device} asked for, but torch cannot compute on it here: {cause}"
            ) from error
    return str(chosen)


def device_kind(device: str | torch.device) -> str:
    """The kind of a device: ``"cuda"`` of ``"cuda:1"``."""
    return str(device).partition(":")[0]


def _own_gpu() -> str:
    count = torch.cuda.device_count()  # one where the launcher shows each process its own only
    return f"cuda:{local_rank() % count}" if local_rank() else "cuda"


def _may_have_gpu() -> bool:
    """Whether torch might find a GPU: not if it is built without, or NVIDIA's driver is missing."""
    if "torch" in sys.modules:
        return True
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return True
    version = Path(spec.origin).with_name("version.py")
    built = runpy.run_path(str(version)) if version.is_file() else {"hip": "unknown"}
    if built.get("hip") is not None:
        return True
    return built.get("cuda") is not None and _has_library(_DRIVER)


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
