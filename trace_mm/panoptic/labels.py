"""Panoptic labels of one image: things told apart by instance edges, stuff kept whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from trace_mm.lazy import lazy_module
from trace_mm.panoptic.presets import LABELER_PRESETS, RANGES
from trace_mm.refinement.boundary_guided_propagation import check_range
from trace_mm.refinement.working_grid import resize_edges, resize_masks, working_grid
from trace_mm.registry import TASK_UTILS

if TYPE_CHECKING:
    import torch
    from torch.nn import functional

    from trace_mm import ops
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")
    ops = lazy_module("trace_mm.ops")

_THICK = 5  # pixels of the working grid
_REACHED = 1e-6  # a walk that is less likely than this to get somewhere does not

_Labels = NDArray[np.int32]
_Edges = NDArray[np.float32]


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

    Each connected part of a class of things is taken by itself, on a working grid of its own, so
    that small things in large images have pixels enough:

    1. Edges cut it into components, also through gaps of a line (``gap``; see
       :func:`trace_mm.ops.edge_cores`). Those below ``min_fragment`` are left out, unless they
       are thick and edges above ``enclosed`` are all around: noise leaves no such edges.
    2. Components spread by Boundary-Guided Propagation (Eq. 11), inside the part only. Those whose
       IoU then exceeds ``merge_iou`` are one object.
    3. At the image's size, a pixel belongs to the object whose walk is most likely to reach it,
       else to the nearest object. A part that has no object is one.
    4. Any other object below ``min_fragment`` goes to the neighbour with which it shares the
       longest border. A whole part below ``min_area`` is void.
    5. Objects whose common border has no edge above ``min_border`` along the whole of it, but for
       the share ``weak_share``, are one; the weakest border goes first.
    6. A part with one object only that is smaller than the share ``join`` of an object within
       ``join_reach`` is a piece of it, cut off by what stands in front.

    Without edges, objects are the connected parts of the class. Stuff is one segment for each
    class, however small. Every pixel has one segment or is void.

    The preset "paper" leaves out what is ours: edges cut and hold back the walk, and nothing else
    does. So objects may leave their class (``within_class``), over stuff and void as well; of
    several that reach a pixel the likeliest has it, and what no walk reaches of a class of things
    is void.

    Args:
        preset: what the settings are that are not given: "photos" and "scenes" were chosen on
            photos and on drawn scenes; "paper" is components and walk as in the paper, and no more.
        threshold: an edge above it separates, in [0, 0.999].
        gap: lines with gaps of up to twice this many pixels of the working grid separate.
        radius: a step of the walk goes less than this many pixels of the working grid far.
        beta: exponent of the affinities: how much weak edges hold back.
        steps: length of the walk.
        merge_iou: components whose IoU exceeds it after the walk are one object (tau_BGP), in
            [0, 1].
        resolution: longer side of working grids in pixels; what is smaller keeps its own size.
        level: for that IoU, a component reaches a pixel where its walk has this share of its
            largest probability, in (0, 1].
        min_fragment: least area of what edges cut off, in pixels of the working grid that the whole
            image would have.
        enclosed: a smaller piece counts all the same if a square of 5 pixels of its working grid
            fits in and nine tenths of the pixels around it have an edge above this, in [0, 1].
        min_border: an edge above it must run along the common border of two objects, in [0, 1]. 0
            undoes borders without any edge; 1 all.
        weak_share: the share of a border along which the edge may be weaker, in [0, 1].
        join: a part of a class joins a near object if its area is below this share of the object's,
            in [0, 1). 0 joins none.
        join_reach: what is near, as a share of the image's longer side, in [0, 1].
        min_area: least area of a connected part of a class of things, in pixels of the image.
        within_class: whether objects stay inside their class.

    Raises:
        ValueError: if the preset is unknown or a number out of range.
    """

    def __init__(
        self,
        preset: Literal["photos", "scenes", "paper"] = "photos",
        threshold: float | None = None,
        gap: float | None = None,
        radius: int | None = None,
        beta: float | None = None,
        steps: int | None = None,
        merge_iou: float | None = None,
        resolution: int | None = None,
        level: float | None = None,
        min_fragment: float | None = None,
        enclosed: float | None = None,
        min_border: float | None = None,
        weak_share: float | None = None,
        join: float | None = None,
        join_reach: float | None = None,
        min_area: float | None = None,
        within_class: bool | None = None,
    ) -> None:
        if preset not in LABELER_PRESETS:
            known = ", ".join(LABELER_PRESETS)
            raise ValueError(f"preset must be one of {known}, got {preset!r}")
        given = {name: value for name, value in locals().items() if name in RANGES}
        values = dict(LABELER_PRESETS[preset])
        values |= {name: value for name, value in given.items() if value is not None}
        for name, (low, high) in RANGES.items():
            check_range(name, values[name], low, high)
        for name in ("min_fragment", "min_area"):
            if 0 < values[name] < 1:
                raise ValueError(f"{name} is a number of pixels, got the share {values[name]}")
        self.threshold: float = values["threshold"]
        self.gap: float = values["gap"]
        self.radius: int = values["radius"]
        self.beta: float = values["beta"]
        self.steps: int = values["steps"]
        self.merge_iou: float = values["merge_iou"]
        self.resolution: int = values["resolution"]
        self.level: float = values["level"]
        self.min_fragment: float = values["min_fragment"]
        self.enclosed: float = values["enclosed"]
        self.min_border: float = values["min_border"]
        self.weak_share: float = values["weak_share"]
        self.join: float = values["join"]
        self.join_reach: float = values["join_reach"]
        self.min_area: float = values["min_area"]
        self.within_class: bool = values["within_class"]

    def settings(self) -> dict[str, float]:
        """All settings by name, those of the preset included."""
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
        if edges is not None and not self.within_class:
            return _numbered(*self._spread_freely(classes, num_things, edges), num_things)
        objects = np.zeros(classes.shape, dtype=np.int32)
        for number in np.unique(classes[(classes >= 0) & (classes < num_things)]).tolist():
            mask = classes == number
            objects[mask] = self._objects(mask, edges)[mask]
        kept = (classes >= num_things) | (objects > 0)
        return _numbered(np.where(kept, classes, -1), objects, num_things)

    def _objects(self, mask: NDArray[np.bool_], edges: _Edges | None) -> _Labels:
        """Numbers of the objects of a class, (H, W), 0 in parts that are too small."""
        parts = ops.connected_parts(mask)
        objects = np.zeros(mask.shape, dtype=np.int32)
        grid = working_grid((mask.shape[0], mask.shape[1]), self.resolution)
        least = self.min_fragment * mask.size / (grid[0] * grid[1])  # in pixels of the image
        count = 0
        for number, box in enumerate(scipy.ndimage.find_objects(parts), start=1):
            part = parts[box] == number  # (bh, bw)
            if np.count_nonzero(part) < self.min_area:
                continue
            labels = (
                part.astype(np.int32) if edges is None else self._split(part, edges[box], least)
            )
            objects[box][part] = labels[part] + count
            count += int(labels.max())
        return ops.join_small_labels(objects, self.join, self.join_reach * max(mask.shape))

    def _split(self, part: NDArray[np.bool_], edges: _Edges, least: float) -> _Labels:
        """Numbers from 1 of the objects of a connected part (bh, bw), from so many pixels on."""
        whole = part.astype(np.int32)
        if not (edges[part] > self.threshold).any():
            return whole
        grid, lines = self._on_grid(edges)
        coarse = resize_masks(torch.from_numpy(part[None]), grid)[0].numpy()  # (h, w)
        cores, sure = self._cores(coarse, lines, least * coarse.size / part.size)
        if not cores.any():
            return whole
        walls = np.where(coarse, lines, 1).astype(np.float32)
        shares, group_of = self._walk(cores, walls)
        labels = ops.fill_labels(_strongest(shares, part.shape)[0], part)
        if not labels.any():
            return whole
        limits = np.full(len(shares) + 1, least)
        limits[group_of[sure] + 1] = 0
        labels = ops.merge_small_labels(labels, limits[: int(labels.max()) + 1])
        # Edges are known to within a pixel of the grid.
        reach = math.ceil(max(part.shape) / max(grid))
        return ops.compact_labels(
            ops.merge_weak_borders(labels, edges, self.min_border, self.weak_share, reach)
        )

    def _cores(
        self, part: NDArray[np.bool_], lines: _Edges, least: float
    ) -> tuple[_Labels, NDArray[np.int32]]:
        """What edges cut a part (h, w) into, from so many pixels on, or less if it is enclosed.

        Returns:
            Numbers from 1 of the cores, (h, w), and the rising indices of the enclosed ones.
        """
        cores = ops.edge_cores(part, lines, self.threshold, self.gap)
        pieces = ops.edge_cores(part, lines, self.threshold, 0)  # without closing gaps
        areas = np.bincount(pieces.ravel())
        small = areas < least
        enclosed = small & ops.enclosed_components(pieces, part, lines, self.enclosed, _THICK)
        cores[(small & ~enclosed)[pieces]] = 0
        cores = ops.compact_labels(cores)
        return cores, np.unique(cores[enclosed[pieces] & (cores > 0)]) - 1

    def _spread_freely(
        self, classes: NDArray[np.int32], num_things: int, edges: _Edges
    ) -> tuple[NDArray[np.int32], _Labels]:
        """Classes (H, W) after things have spread until edges stop them, and their objects."""
        grid, lines = self._on_grid(edges)
        found = np.where(classes >= num_things, classes, -1)
        objects = np.zeros(classes.shape, dtype=np.int32)
        most = np.zeros(classes.shape, dtype=np.float32)
        for number in np.unique(classes[(classes >= 0) & (classes < num_things)]).tolist():
            mask = torch.from_numpy((classes == number)[None])
            coarse = resize_masks(mask, grid)[0].numpy()
            cores = ops.edge_cores(coarse, lines, self.threshold, self.gap)
            labels, strength = _strongest(self._walk(cores, lines)[0], classes.shape)
            wins = (labels > 0) & (strength > most)
            objects[wins], most[wins], found[wins] = labels[wins], strength[wins], number
        return found, objects

    def _on_grid(self, edges: _Edges) -> tuple[tuple[int, int], _Edges]:
        """The working grid of a part or image, and its edges (h, w) there."""
        grid = working_grid((edges.shape[0], edges.shape[1]), self.resolution)
        lines = resize_edges(torch.from_numpy(np.ascontiguousarray(edges)).float(), grid)
        return grid, lines.numpy()

    def _walk(self, cores: _Labels, walls: _Edges) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Let cores, numbered from 1 without a gap, walk, and unite them to objects.

        Returns:
            How likely a walk from each object reaches each pixel, (G, h, w), and the object of each
            core.
        """
        numbers = np.arange(1, int(cores.max()) + 1)
        seeds = torch.from_numpy(cores == numbers[:, None, None])  # (F, h, w)
        walked = ops.propagate_masks(
            seeds, torch.from_numpy(walls), self.radius, self.beta, self.steps
        )
        limits = self.level * walked.flatten(1).amax(1) if len(walked) else walked.new_zeros(0)
        reached = walked >= limits[:, None, None]
        groups = ops.merge_groups(reached, self.merge_iou)
        if not self.within_class:
            walked = walked * reached
        shares = np.zeros((len(groups.unique()), *walls.shape), dtype=np.float32)
        for number, share in enumerate(shares):
            share[:] = walked[groups == number].amax(0).numpy()
        return shares, groups.numpy()


def _strongest(
    shares: NDArray[np.float32], size: tuple[int, ...]
) -> tuple[_Labels, NDArray[np.float32]]:
    """At another size (H, W): the number from 1 of the largest of shares (G, h, w), and its value.

    0 where none is worth speaking of.
    """
    labels = np.zeros(size, dtype=np.int32)
    strongest = np.full(size, _REACHED, dtype=np.float32)
    for number, share in enumerate(shares, start=1):  # one at a time, to save memory
        large = _enlarge(share, size)  # (H, W)
        nearer = large > strongest
        labels[nearer], strongest[nearer] = number, large[nearer]
    return labels, strongest


def _numbered(classes: NDArray[np.int32], objects: _Labels, num_things: int) -> PanopticLabels:
    """Segments of classes (H, W), -1 void, and numbers of objects (H, W) in each class of things.

    They are numbered by class, then by their first pixel.
    """
    ids = np.zeros(classes.shape, dtype=np.int32)
    numbers: list[int] = []
    for number in np.unique(classes[classes >= 0]).tolist():
        mask = classes == number
        segments = np.where(mask, objects if number < num_things else 1, 0)
        for segment in _by_first_pixel(segments):
            numbers.append(number)
            ids[segments == segment] = len(numbers)
    return PanopticLabels(ids, np.array(numbers, dtype=np.int64))


def _by_first_pixel(labels: _Labels) -> list[int]:
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
