"""Dtypes by name."""

import torch


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A dtype for weights from its name.

    Raises:
        ValueError: if there is no floating-point one of that name.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"{dtype!r} is no dtype for weights; float32, float16 and bfloat16 are")
    return found


def dtype_name(dtype: torch.dtype) -> str:
    """The name that :func:`as_dtype` takes."""
    return str(dtype).removeprefix("torch.")


def is_fast_on(dtype: str | torch.dtype, device: str | torch.device) -> bool:
    """Whether a device computes in a dtype about as fast as in float32, or faster.

    CPUs without instructions for half precision emulate it, hundreds of times slower.
    """
    if torch.device(device).type != "cpu":
        return True
    supported = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    wanted = as_dtype(dtype)
    return wanted not in supported or bool(supported[wanted]())
