"""Where models compute."""

import torch


def check_device(device: str | torch.device | None) -> torch.device:
    """The device that somebody names; the first GPU if there is one, else the CPU, for None.

    Raises:
        ValueError: if there is no such device, or nothing can be computed on it.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"{device!r} is not a device; cpu, cuda or cuda:1 are") from None
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
