"""Segments read straight out of an edge map: what edges enclose, at every level."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.contour_map import distinct_nodes
from trace_mm.ops.merge_tree import MergeTree, merge_regions
from trace_mm.refinement.boundary_guided_propagation import check_range
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.working_grid import working_grid
from trace_mm.registry import TASK_UTILS
from trace_mm.segments.basins import edge_regions
from trace_mm.segments.features import NodeFeatures, node_features

_USUAL_AREA = 0.18  # share of an image
_AREA_SPREAD = 2.8  # of the logarithm: a thing of a hundredth of that is a quarter as likely


@dataclass(frozen=True)
class RankedNodes:
    """Segments before they are masks: the best nodes of a merge tree.

    Attributes:
        labels: int32 (h, w): the region of each pixel of the working grid.
        tree: of these regions.
        nodes: K of them, by falling score.
        scores: float64 (K,).
    """

    labels: NDArray[np.int32]
    tree: MergeTree
    nodes: list[int]
    scores: NDArray[np.float64]

    def masks(self, size: tuple[int, ...], count: int | None = None) -> NDArray[np.bool_]:
        """The first ``count`` masks at a size: bool (count, H, W); None is all of them."""
        return node_masks(self.labels, self.tree, self.nodes[:count], size)


@TASK_UTILS.register_module()
class EdgeSegments:
    """Class-agnostic instance masks out of an edge map.

    1. Edge strengths are taken to the power of ``exponent``. The map is cut into watershed basins
       on a working grid; the smallest ones join a neighbour.
    2. Regions merge in the order of the mean edge strength along their common border, until one is
       left. Each region on the way is a candidate.
    3. A candidate's score is the fifth root of o^4 w (1 - r) c^0.7 g(a): o is the mean edge
       strength along its outline, w what a tenth of the outline stays below, r the share of the
       outline on the image's rim, c its compactness, and a its share of the image's area. g is
       a Gaussian of log a about 0.18, with 2.8 as its standard deviation.
    4. Of candidates whose IoU exceeds ``max_iou``, the best one stays, and of all the ``number``
       best.

    Args:
        number: the most masks of an image.
        max_iou: of two masks whose IoU exceeds it, the one with the lower score is left out, in
            [0, 1].
        min_score: masks with lower scores are left out, in [0, 1].
        resolution: longer side of the working grid in pixels; smaller images keep their own size.
        exponent: of edge strengths; below 1, a gap in an outline counts for more, and that a line
            is strong for less.
        smoothing: standard deviation in pixels of the Gaussian blur before basins are found.
        min_region: basins of fewer pixels of the working grid join a neighbour first.
        size_power: how much earlier small regions merge: borders are as weak as their mean strength
            times the smaller area to this power.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        *,
        number: int = 100,
        max_iou: float = 0.78,
        min_score: float = 0.0,
        resolution: int = 640,
        exponent: float = 0.5,
        smoothing: float = 0.7,
        min_region: int = 20,
        size_power: float = 0.1,
    ) -> None:
        self._settings = {name: value for name, value in locals().items() if name != "self"}
        check_range("number", number, 1, 65535)
        check_range("max_iou", max_iou, 0, 1)
        check_range("min_score", min_score, 0, 1)
        check_range("resolution", resolution, 16, 8192)
        check_range("exponent", exponent, 0.1, 10)
        check_range("smoothing", smoothing, 0, 100)
        check_range("min_region", min_region, 1, 1e6)
        check_range("size_power", size_power, 0, 2)
        self.number = number
        self.max_iou = max_iou
        self.min_score = min_score
        self.resolution = resolution
        self.exponent = exponent
        self.size_power = size_power
        self.smoothing = smoothing
        self.min_region = min_region

    def settings(self) -> dict[str, Any]:
        """All settings by name, as arguments that make the same again."""
        return dict(self._settings)

    def __call__(self, edges: NDArray[np.float32]) -> InstanceMasks:
        """Find the segments of one image.

        Args:
            edges: (H, W) in [0, 1].

        Returns:
            Masks at the image's size by falling score; labels are all 1. The order and the masks
            are always the same for the same input.

        Raises:
            ValueError: if the edges are no map of [0, 1].
        """
        found = self.find(edges)
        masks = found.masks(edges.shape)
        return InstanceMasks(masks, np.ones(len(masks), dtype=np.int64), found.scores)

    def find(self, edges: NDArray[np.float32]) -> RankedNodes:
        """Find the segments of one image, for masks of any size; arguments as of the call."""
        check_edges(edges)
        size = working_grid(edges.shape, self.resolution)
        lines = resize(np.asarray(edges, dtype=np.float32), size)
        lines = np.power(lines, self.exponent, dtype=np.float32)
        found = edge_regions(lines, self.smoothing, self.min_region)
        tree = merge_regions(found.graph, self.size_power)
        scores = segment_scores(node_features(found.labels, found.lines, found.graph, tree))
        scores[tree.parents < 0] = 0  # the whole image is no segment of it
        nodes = distinct_nodes(
            tree, tree.sums(found.graph.areas), scores, self.max_iou, self.number
        )
        nodes = [node for node in nodes if scores[node] >= self.min_score]
        return RankedNodes(found.labels, tree, nodes, scores[nodes])


def segment_scores(features: NodeFeatures) -> NDArray[np.float64]:
    """How likely each node is a thing: in [0, 1], float64 (N,); see :class:`EdgeSegments`."""
    shape = (1 - features.rim) * features.compactness**0.7
    size = np.exp(-(np.log(features.area / _USUAL_AREA) ** 2) / (2 * _AREA_SPREAD**2))
    scores: NDArray[np.float64] = features.outline**4 * features.weakest * shape * size
    return scores**0.2  # there are five strengths in it: of the order of one


def node_masks(
    labels: NDArray[np.integer], tree: MergeTree, nodes: list[int], size: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Masks bool (K, H, W) of nodes at the image's size, from regions on a grid (h, w)."""
    place = tree.spans[: tree.regions, 0][labels].astype(np.float32)  # a node's are side by side
    if place.shape != size:
        place = cv2.resize(place, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    masks = np.empty((len(nodes), *size), dtype=bool)
    for mask, (start, end) in zip(masks, tree.spans[nodes].tolist(), strict=True):
        np.logical_and(place >= start, place < end, out=mask)
    return masks


def check_edges(edges: NDArray[np.float32]) -> None:
    """Refuse what is no edge map.

    Raises:
        ValueError: if it is so.
    """
    if edges.ndim != 2 or edges.size == 0:
        raise ValueError(f"edges must be (H, W) and not empty, got {edges.shape}")
    if not (edges.min() >= 0 and edges.max() <= 1):
        raise ValueError(f"edges must be in [0, 1], got {edges.min()} to {edges.max()}")


def resize(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A map (H, W) at a smaller size, each pixel the mean of what it covers."""
    if values.shape[:2] == size:
        return values
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA)
