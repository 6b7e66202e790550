"""The regions that segments are made of: watershed basins of edges."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.region_graph import RegionGraph, join_small_regions, region_graph
from trace_mm.ops.watershed import watershed_basins


@dataclass(frozen=True)
class Regions:
    """Regions of an image and their borders.

    Attributes:
        labels: int32 (H, W): the region of each pixel, from 0 on without gaps.
        lines: float32 (H, W) in [0, 1]: the edges, smoothed.
        graph: their borders on these edges.
    """

    labels: NDArray[np.int32]
    lines: NDArray[np.float32]
    graph: RegionGraph


def edge_regions(edges: NDArray[np.float32], smoothing: float, min_region: int) -> Regions:
    """Basins of edges (H, W) in [0, 1]; see :class:`trace_mm.segments.EdgeSegments`."""
    lines = smooth(edges, smoothing)
    labels = join_small_regions(watershed_basins(lines), lines, min_region)
    return Regions(labels, lines, region_graph(labels, lines))


def smooth(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Values (H, W) after a Gaussian blur; as they are if ``sigma`` is 0."""
    if not sigma:
        return values
    blurred: Any = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred
