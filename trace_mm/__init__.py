"""TRACE: instance edges from the self-attention of a text-to-image diffusion model."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.apis.functions import edges, refine, segment

__version__ = "0.1.0"
__all__ = ["edges", "refine", "segment"]

__getattr__ = lazy_exports(__name__)
