"""Instance masks of whole images, out of their edges alone."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.segments.edge_segments import EdgeSegments
    from trace_mm.segments.features import NodeFeatures, node_features

__all__ = ["EdgeSegments", "NodeFeatures", "node_features"]

__getattr__ = lazy_exports(__name__)
