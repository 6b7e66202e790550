"""The regions that segments are made of: watershed basins of edges and of a photo's gradients."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.region_graph import RegionGraph, join_small_regions, region_graph
from trace_mm.ops.watershed import watershed_basins
from trace_mm.refinement.boundary_guided_propagation import check_range

_FLOOR = 0.01  # where a photo has no gradient, edges still say where basins end
_NEIGHBOURHOOD = 8.0  # standard deviation in pixels of what a gradient is compared with
_LEAST_GRADIENT = 0.1  # weaker ones do not count as strong where all around are weak


@dataclass(frozen=True)
class Regions:
    """Regions of an image and their borders.

    Attributes:
        labels: int32 (H, W): the region of each pixel, from 0 on without gaps.
        lines: float32 (H, W) in [0, 1]: the edges, smoothed.
        graph: their borders on these edges.
        order: the graph by which they merge: borders are stronger where colours differ.
    """

    labels: NDArray[np.int32]
    lines: NDArray[np.float32]
    graph: RegionGraph
    order: RegionGraph


@dataclass(frozen=True)
class SegmentRegions:
    """Finds regions; see :class:`trace_mm.segments.EdgeSegments` for the settings.

    Raises:
        ValueError: if a setting is out of range.
    """

    smoothing: float
    min_region: int
    gradient_weight: float
    color_weight: float

    def __post_init__(self) -> None:
        check_range("smoothing", self.smoothing, 0, 100)
        check_range("min_region", self.min_region, 1, 1e6)
        check_range("gradient_weight", self.gradient_weight, 0, 1)
        check_range("color_weight", self.color_weight, 0, 1)

    def __call__(self, edges: NDArray[np.float32], image: NDArray[np.uint8] | None) -> Regions:
        """Regions of edges (H, W) in [0, 1], and of the photo (H, W, 3) if any."""
        lines = smooth(edges, self.smoothing)
        ridges = lines
        if image is not None and self.gradient_weight:
            mixed = edges ** (1 - self.gradient_weight)
            mixed *= (local_gradients(image) + _FLOOR) ** self.gradient_weight
            ridges = smooth(mixed, self.smoothing)
        labels = join_small_regions(watershed_basins(ridges), ridges, self.min_region)
        graph = region_graph(labels, lines)
        order = graph
        if image is not None and self.color_weight:
            more = self.color_weight * color_differences(labels, image, graph)
            order = replace(graph, totals=graph.totals + more * graph.lengths)
        return Regions(labels, lines, graph, order)


def local_gradients(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How strong a photo's gradient is compared with those around: (H, W) in [0, 1]."""
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    along = cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
    steep = np.sqrt((along[0] ** 2 + along[1] ** 2).max(axis=2))
    steep /= max(float(np.percentile(steep, 99.5)), 1e-6)
    np.minimum(steep, 1, out=steep)
    around = np.maximum(2 * smooth(steep, _NEIGHBOURHOOD), _LEAST_GRADIENT)
    return np.minimum(steep / around, 1)


def color_differences(
    labels: NDArray[np.int32], image: NDArray[np.uint8], graph: RegionGraph
) -> NDArray[np.float64]:
    """Distance (E,) in CIELAB of the mean colours on both sides of each border."""
    color = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    count = len(graph.areas)
    sums = [np.bincount(labels.ravel(), color[..., i].ravel(), count) for i in range(3)]
    means = np.stack(sums, axis=1) / graph.areas[:, None]
    return np.linalg.norm(means[graph.first] - means[graph.second], axis=1)


def smooth(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Values (H, W) after a Gaussian blur; as they are if ``sigma`` is 0."""
    if not sigma:
        return values
    blurred: Any = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred
