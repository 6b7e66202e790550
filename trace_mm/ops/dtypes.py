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
