"""Where models compute."""

import torch

from trace_mm.runs.group import local_rank


def check_device(device: str | torch.device | None, elsewhere: bool = False) -> torch.device:
    """The device that somebody names; a GPU if there is one, else the CPU, for None.

    Of several processes that a launcher has started, each takes a GPU of its own.

    Args:
        device: its name.
        elsewhere: whether it is of another machine, of which is known only that it has GPUs.

    Raises:
        ValueError: if there is no such device, or nothing can be computed on it.
    """
    if device is None and elsewhere:
        return torch.device("cuda")
    if device is None:
        return _own_gpu() if torch.cuda.is_available() else torch.device("cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"{device!r} is not a device; cpu, cuda or cuda:1 are") from None
    if elsewhere:
        return chosen
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
    return chosen


def _own_gpu() -> torch.device:
    count = torch.cuda.device_count()  # one where the launcher shows each process its own only
    return torch.device("cuda", local_rank() % count) if local_rank() else torch.device("cuda")
