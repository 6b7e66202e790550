"""Mixed precision without loss scaling, on GPUs and CPUs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper

from trace_mm.registry import OPTIM_WRAPPERS

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs the forward pass in bfloat16 where that is safe; weights stay as they are.

    bfloat16 has float32's range, so that losses need no scaling. For float16, which does, and for
    GPUs without bfloat16, mmengine has ``AmpOptimWrapper``.

    Args:
        dtype: "bfloat16", or "float32" to switch it off.
        **kwargs: of mmengine's ``OptimWrapper``, such as ``optimizer`` and ``accumulative_counts``.

    Raises:
        ValueError: if the dtype is another.
    """

    def __init__(self, dtype: str = "bfloat16", **kwargs: Any) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
        super().__init__(**kwargs)
        self.dtype = _DTYPES[dtype]

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """Where the model's forward pass runs; see mmengine."""
        device = next(model.parameters()).device.type
        enabled = self.dtype != torch.float32
        with super().optim_context(model), torch.autocast(device, self.dtype, enabled=enabled):
            yield
