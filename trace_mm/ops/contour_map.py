"""Ultrametric contour maps, and which nodes of a merge tree stand for the same thing."""

import numpy as np
from numpy.typing import NDArray

from trace_mm.ops.merge_tree import MergeTree


def contour_map(labels: NDArray[np.integer], tree: MergeTree) -> NDArray[np.float64]:
    """The ultrametric contour map: when a pixel merges with the next to the right or below.

    Cut at any level, its contours are those of the regions that are merged up to there, so they are
    closed at every level.

    Args:
        labels: (H, W): the region of each pixel.
        tree: of these regions.

    Returns:
        (H, W): the higher of the levels at which a pixel's region and those of its right and lower
        neighbours come together; 0 within a region.
    """
    levels = np.zeros(labels.shape)
    for one, other in (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]):
        differ = labels[one] != labels[other]
        met = tree.levels[tree.joints(labels[one][differ], labels[other][differ])]
        part = levels[one]
        part[differ] = np.maximum(part[differ], met)
    return levels


def distinct_nodes(
    tree: MergeTree,
    areas: NDArray[np.number],
    scores: NDArray[np.floating],
    max_iou: float,
    number: int,
) -> list[int]:
    """The best nodes of a tree, none of which is nearly the same as a better one.

    Two nodes are apart, or one holds the other, so that their IoU is the ratio of their areas.

    Args:
        tree: of N nodes.
        areas: (N,) in pixels.
        scores: (N,); nodes whose score is not above 0 are left out.
        max_iou: a node whose IoU with a better one exceeds it is left out.
        number: the most nodes to take.

    Returns:
        Nodes by falling score; of equal scores, the latest first.
    """
    parents, sizes = tree.parents.tolist(), areas.tolist()
    children = tree.children.tolist()
    order = np.lexsort((-np.arange(len(tree)), -scores))
    open_nodes = (scores > 0).tolist()
    chosen: list[int] = []
    for node in order.tolist():
        if len(chosen) == number or scores[node] <= 0:
            break
        if not open_nodes[node]:
            continue
        chosen.append(node)
        above = parents[node]
        while above >= 0 and sizes[node] > max_iou * sizes[above]:
            open_nodes[above] = False
            above = parents[above]
        below = [node]
        while below:
            inner = below.pop()
            if inner >= tree.regions:
                same = [
                    child
                    for child in children[inner - tree.regions]
                    if sizes[child] > max_iou * sizes[node]
                ]
                for child in same:
                    open_nodes[child] = False
                below += same
    return chosen
