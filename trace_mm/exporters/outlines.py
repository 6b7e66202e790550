"""Outlines of masks as polygons, for formats that know nothing else.

An outline runs a quarter of a pixel inside the rim of its mask. So every way in which programs draw
polygons gives the mask back, whether a pixel counts by its centre or by any touch of the line.

A polygon has no holes and one part. Here holes, and parts that lie apart, are joined to it by a
line there and back that encloses nothing, the shortest that there is. Within a mask such a line has
no effect. Between parts it runs over the background, and programs that count what a line touches
make a bridge of it, one pixel wide.
"""

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import Delaunay

from trace_mm.files.coco import mask_box

Ring = NDArray[np.float64]
"""A closed line, (n, 2) x and y in pixels; the first point follows the last."""

_STEP = 0.5  # pixels between the points of a ring, of which the nearest are joined
_STRAIGHT = 1e-9
_LEAST_AREA = 0.5  # share of its area that a simpler ring must keep


def outline_rings(mask: NDArray[np.bool_], tolerance: float = 0.0) -> list[list[Ring]]:
    """The outlines of a mask.

    Args:
        mask: bool (H, W). Pixels that touch at a corner are of one part.
        tolerance: how far a simpler outline may be from the exact one, in pixels; 0 is exact.

    Returns:
        For each part its outer ring, then those of its holes.
    """
    left, top, width, height = mask_box(mask)
    part = mask[top : top + height, left : left + width]
    double = part.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)  # its pixels are quarters
    if not double.size:
        return []
    found, hierarchy = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, list[Ring]] = {}
    for index in sorted(range(len(found)), key=lambda one: hierarchy[0][one][3] >= 0):
        outer = int(hierarchy[0][index][3])
        ring = (found[index][:, 0] + 0.5) / 2 + (left, top)
        parts.setdefault(index if outer < 0 else outer, []).append(_simpler(ring, tolerance))
    return list(parts.values())


def joined(rings: Sequence[Ring]) -> Ring:
    """One polygon that encloses what rings, drawn together, do; see the module.

    Args:
        rings: one at least.

    Returns:
        (n, 2) with n of at least 3.
    """
    dense = [_dense(ring) for ring in rings]
    doors: list[dict[int, list[Ring]]] = [defaultdict(list) for _ in dense]
    for parent, door, child, start in reversed(_shortest_joints(dense)):
        doors[parent][door].append(_walk(dense[child], doors[child], start))
    walk = _walk(dense[0], doors[0], 0)
    return _without_straight(walk[:-1])


def _simpler(ring: Ring, tolerance: float) -> Ring:
    """A ring of fewer points, unless too little of it would be left."""
    if not tolerance:
        return ring
    exact = ring.astype(np.float32)
    simple = cv2.approxPolyDP(exact, tolerance, closed=True)[:, 0]
    if len(simple) < 3 or cv2.contourArea(simple) < _LEAST_AREA * cv2.contourArea(exact):
        return ring
    return np.asarray(simple, dtype=np.float64)


def _dense(ring: Ring) -> Ring:
    """A ring with points at most ``_STEP`` apart."""
    follows = np.roll(ring, -1, axis=0)
    counts = np.maximum(np.ceil(np.hypot(*(follows - ring).T) / _STEP - _STRAIGHT), 1).astype(int)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    share = (np.arange(counts.sum()) - starts) / np.repeat(counts, counts)  # (n,) of each edge
    return np.repeat(ring, counts, 0) + share[:, None] * np.repeat(follows - ring, counts, 0)


def _shortest_joints(rings: Sequence[Ring]) -> list[tuple[int, int, int, int]]:
    """The lines that join all rings: a tree of least length, from the first ring on.

    None crosses a ring: there would be a shorter one to it. The shortest line between two sets of
    points is an edge of every Delaunay triangulation of them, so that no others are looked at.

    Returns:
        For each line the ring and point that it starts from, and the ring and point it leads to.
    """
    if len(rings) == 1:
        return []
    owners = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    firsts = np.searchsorted(owners, np.arange(len(rings)))
    points = np.concatenate(rings)  # (n, 2)
    lines = _lines_between(points, owners)  # (m, 2)
    pairs = np.sort(owners[lines], axis=1)
    _, chosen = np.unique(pairs, axis=0, return_index=True)  # the shortest of each pair of rings
    lines, pairs = lines[chosen], pairs[chosen]
    lengths = 1 + np.hypot(*(points[lines[:, 0]] - points[lines[:, 1]]).T)  # 0 would be no edge
    graph = csr_array((lengths, pairs.T), shape=(len(rings), len(rings)))
    order, parents = breadth_first_order(minimum_spanning_tree(graph), 0, directed=False)
    line_of = {tuple(pair): line for pair, line in zip(pairs.tolist(), lines, strict=True)}
    joints = []
    for child in order[1:].tolist():
        parent = int(parents[child])
        line = line_of[min(parent, child), max(parent, child)]
        start, end = line if owners[line[0]] == parent else line[::-1]
        joints.append((parent, int(start - firsts[parent]), child, int(end - firsts[child])))
    return joints


def _lines_between(points: Ring, owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of points (m, 2) of different rings, the closest first, among them the shortest."""
    _, alone, same = np.unique(points, axis=0, return_index=True, return_inverse=True)
    corners = alone[Delaunay(points[alone]).simplices]  # (triangles, 3)
    lines = np.concatenate(
        [
            corners[:, [0, 1]],
            corners[:, [1, 2]],
            corners[:, [2, 0]],
            np.stack([alone[same.ravel()], np.arange(len(points))], axis=1),  # where rings touch
        ]
    )
    lines = lines[owners[lines[:, 0]] != owners[lines[:, 1]]]
    lengths = np.hypot(*(points[lines[:, 0]] - points[lines[:, 1]]).T)
    return lines[np.argsort(lengths, kind="stable")]


def _walk(ring: Ring, doors: dict[int, list[Ring]], start: int) -> Ring:
    """The way around a ring from a point back to it, with a detour at each of some points."""
    pieces: list[Ring] = []
    begin = 0
    turned = np.roll(ring, -start, axis=0)
    for door in sorted(doors, key=lambda one: (one - start) % len(ring)):
        place = (door - start) % len(ring)
        pieces.append(turned[begin : place + 1])
        for detour in doors[door]:
            pieces += [detour, turned[place : place + 1]]
        begin = place + 1
    return np.concatenate([*pieces, turned[begin:], turned[:1]])


def _without_straight(walk: Ring) -> Ring:
    """A closed way without the points between which it goes straight on."""
    before, after = walk - np.roll(walk, 1, axis=0), np.roll(walk, -1, axis=0) - walk
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    onwards = (before * after).sum(1) > 0
    return walk[~((np.abs(turn) < _STRAIGHT) & onwards)]
