"""Panoptic labels of one image: things told apart by instance edges, stuff kept whole."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from trace_mm.ops import (
    connected_parts,
    edge_cores,
    fill_labels,
    merge_groups,
    merge_small_labels,
    propagate_masks,
)
from trace_mm.refine.boundary_guided_propagation import check_range
from trace_mm.refine.working_grid import resize_edges, resize_masks, working_grid
from trace_mm.registry import TASK_UTILS

_REACHED = 1e-6  # a walk that is less likely than this to get somewhere does not


@dataclass(frozen=True)
class PanopticLabels:
    """Segments of an image that do not overlap.

    Attributes:
        ids: int32 (H, W), the segment of each pixel, 1 to K; 0 is void.
        classes: int64 (K,), ``classes[i - 1]`` is the class number of segment i.
    """

    ids: NDArray[np.int32]
    classes: NDArray[np.int64]


@TASK_UTILS.register_module()
class PanopticLabeler:
    """Makes a panoptic map of a class map and instance edges (Sec. 3.5, 4).

    Each class of things is taken by itself, on a working grid:

    1. Edges cut it into components, also through gaps of a line (``gap``; see
       :func:`trace_mm.ops.edge_cores`). Those below ``min_fragment`` are left out.
    2. Components spread by Boundary-Guided Propagation (Eq. 11), inside the class only. Those whose
       IoU then exceeds ``merge_iou`` are one object.
    3. At the image's size, a pixel of the class belongs to the object whose walk is most likely to
       reach it, else to the nearest object in its connected part of the class. A part that has no
       object is one. Parts that do not touch are never one object.
    4. An object below ``min_fragment`` goes to the neighbour of its class with which it shares the
       longest border. A whole part below ``min_area`` is void.

    Without edges, objects are the connected parts of the class. Stuff is one segment for each
    class, however small. Every pixel has one segment or is void.

    Args:
        threshold: an edge above it separates, in [0, 0.999].
        gap: lines with gaps of up to twice this many pixels of the working grid separate.
        radius: a step of the walk goes less than this many pixels of the working grid far.
        beta: exponent of the affinities.
        steps: length of the walk.
        merge_iou: tau_BGP, in [0, 1].
        resolution: longer side of the working grid in pixels; smaller images keep their own size.
        level: in 2., a pixel is reached from where the walk has this share of its largest
            probability, in (0, 1].
        min_fragment: least area of what edges cut off, as a share of the image.
        min_area: least area of a connected part of a class of things, as a share of the image.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        threshold: float = 0.2,
        gap: float = 3,
        radius: int = 5,
        beta: float = 5,
        steps: int = 256,
        merge_iou: float = 0.5,
        resolution: int = 128,
        level: float = 0.5,
        min_fragment: float = 0.003,
        min_area: float = 0.0005,
    ) -> None:
        check_range("threshold", threshold, 0, 0.999)
        check_range("gap", gap, 0, 64)
        check_range("radius", radius, 1, 64)
        check_range("beta", beta, 1e-6, 1e6)
        check_range("steps", steps, 0, 10**6)
        check_range("merge_iou", merge_iou, 0, 1)
        check_range("resolution", resolution, 8, 4096)
        check_range("level", level, 1e-6, 1)
        check_range("min_fragment", min_fragment, 0, 1)
        check_range("min_area", min_area, 0, 1)
        self.threshold, self.gap, self.radius, self.beta = threshold, gap, radius, beta
        self.steps, self.merge_iou, self.resolution = steps, merge_iou, resolution
        self.level, self.min_fragment, self.min_area = level, min_fragment, min_area

    def settings(self) -> dict[str, float]:
        """All arguments by name."""
        return dict(vars(self))

    def __call__(
        self,
        classes: NDArray[np.int32],
        num_things: int,
        edges: NDArray[np.float32] | None = None,
    ) -> PanopticLabels:
        """Label an image.

        Args:
            classes: (H, W), the class number of each pixel, -1 is void. Things come first.
            num_things: classes below it are things.
            edges: (H, W) in [0, 1]; None for connected parts alone.

        Returns:
            Segments by rising class, those of a class by rising distance of their first pixel from
            the top.

        Raises:
            ValueError: if the sizes differ.
        """
        if edges is not None and edges.shape != classes.shape:
            raise ValueError(
                f"edges {edges.shape} and classes {classes.shape} (H, W) are not of one size"
            )
        ids = np.zeros(classes.shape, dtype=np.int32)
        numbers: list[int] = []
        for number in np.unique(classes[classes >= 0]).tolist():
            mask = classes == number
            segments = self._objects(mask, edges) if number < num_things else mask.astype(np.int32)
            for segment in _by_first_pixel(segments):
                numbers.append(number)
                ids[segments == segment] = len(numbers)
        return PanopticLabels(ids, np.array(numbers, dtype=np.int64))

    def _objects(
        self, mask: NDArray[np.bool_], edges: NDArray[np.float32] | None
    ) -> NDArray[np.int32]:
        """Numbers of the objects of a class, (H, W)."""
        parts = connected_parts(mask)
        too_small = np.bincount(parts.ravel()) < self.min_area * mask.size
        parts = np.where(too_small[parts], 0, parts)
        labels = parts if edges is None else _apart(self._split(parts > 0, edges), parts)
        return merge_small_labels(labels, self.min_fragment * mask.size)

    def _split(self, mask: NDArray[np.bool_], edges: NDArray[np.float32]) -> NDArray[np.int32]:
        """The object of each pixel of a class, (H, W) from 1; 0 in parts that have none."""
        grid = working_grid((mask.shape[0], mask.shape[1]), self.resolution)
        coarse = resize_masks(torch.from_numpy(mask[None]), grid)[0].numpy()  # (h, w)
        lines = resize_edges(torch.from_numpy(np.ascontiguousarray(edges)).float(), grid).numpy()
        labels = np.zeros(mask.shape, dtype=np.int32)
        if coarse.any():
            shares = self._walk(coarse, lines)  # (G, h, w)
            strongest = np.full(mask.shape, _REACHED, dtype=np.float32)
            for number, share in enumerate(shares, start=1):
                large = _enlarge(share, labels.shape)  # (H, W)
                nearer = large > strongest
                labels[nearer], strongest[nearer] = number, large[nearer]
        return fill_labels(labels, mask)

    def _walk(self, mask: NDArray[np.bool_], edges: NDArray[np.float32]) -> NDArray[np.float32]:
        """How likely each object of a class (h, w) reaches each pixel, (G, h, w)."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        inside, lines = mask[box], edges[box]
        cores = edge_cores(inside, lines, self.threshold, self.gap)
        pieces = edge_cores(inside, lines, self.threshold, 0)  # without closing gaps
        large = np.bincount(pieces.ravel()) >= self.min_fragment * mask.size
        cores[~large[pieces]] = 0
        numbers = np.unique(cores[cores > 0])
        seeds = torch.from_numpy(cores == numbers[:, None, None])  # (F, bh, bw)
        walls = torch.from_numpy(np.where(inside, lines, 1).astype(np.float32))
        walked = propagate_masks(seeds, walls, self.radius, self.beta, self.steps)
        limits = self.level * walked.flatten(1).amax(1) if len(walked) else walked.new_zeros(0)
        groups = merge_groups(walked >= limits[:, None, None], self.merge_iou)
        shares = np.zeros((len(groups.unique()), *mask.shape), dtype=np.float32)
        for share, group in zip(shares, groups.unique(), strict=True):
            share[box] = walked[groups == group].amax(0).numpy()
        return shares


def _apart(labels: NDArray[np.int32], parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels (H, W) that differ wherever the part does; a part without any is one."""
    inside = parts > 0
    pairs = parts[inside].astype(np.int64) * (int(labels.max()) + 1) + labels[inside]  # (P,)
    apart = np.zeros(parts.shape, dtype=np.int32)
    apart[inside] = np.unique(pairs, return_inverse=True)[1] + 1
    return apart


def _by_first_pixel(labels: NDArray[np.int32]) -> list[int]:
    """The labels of a map (H, W) in the order in which they first occur, row by row."""
    numbers, first = np.unique(labels, return_index=True)
    return [int(number) for number in numbers[np.argsort(first)] if number > 0]


def _enlarge(share: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    if share.shape == size:
        return share
    tensor = torch.from_numpy(share)[None, None]
    enlarged: NDArray[np.float32] = functional.interpolate(tensor, size, mode="bilinear")[
        0, 0
    ].numpy()
    return enlarged
