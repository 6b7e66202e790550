"""Errors that an image is at fault for, and not the generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_module
from trace_mm.runs.memory import lacks_memory

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_module("torch")


@contextmanager
def images_fault() -> Iterator[None]:
    """Within this context, what an image is at fault for is a ``ValueError``.

    It may be too large for the memory, of the machine or of a GPU, or its graph be such that no
    solution is found. Anything else is no image's fault.
    """
    try:
        yield
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise ValueError(f"its graph cannot be cut: {error}") from error
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        said = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise ValueError(f"out of memory: try a smaller --size{said}") from error
