"""Boundary-Guided Propagation: masks refined by instance edges (Sec. 3.5, App. C.6, Alg. 4)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

from trace_mm.ops import edge_fragments, merge_groups, propagate_masks
from trace_mm.refine.instances import InstanceMasks
from trace_mm.refine.outlines import follow_outlines, outline_scores
from trace_mm.refine.working_grid import resize_edges, resize_masks, working_grid
from trace_mm.registry import TASK_UTILS


@dataclass(frozen=True)
class Refinement:
    """Refined masks, and what became of the source's.

    Attributes:
        instances: the refined masks, with scores, by falling score.
        sources: for each of them, the rising indices of the source masks that it is made of.
        pieces: for each source mask, how many components it has; 0 if it is kept as it was.
    """

    instances: InstanceMasks
    sources: tuple[tuple[int, ...], ...]
    pieces: tuple[int, ...]


@dataclass(frozen=True)
class _Spread:
    """Components on the working grid after the walk.

    Attributes:
        shares: float (F, h, w), 0.5 where a pixel just belongs to a component.
        origin: the index of each one's source mask, int64 (F,).
    """

    shares: Tensor
    origin: Tensor


@TASK_UTILS.register_module()
class BoundaryGuidedPropagation:
    """Cuts masks where edges cross them, lets the pieces fill what edges enclose, and unites them.

    1. Masks and edges are brought to a working grid.
    2. Edge pixels cut each mask into its connected components.
    3. Each component spreads by a random walk that edges hold back (Eq. 11). A pixel belongs to it
       if the walk reaches it with at least ``level`` times the largest probability, and with
       ``min_probability``: what spreads thinner than that has met no edges that enclose it.
    4. An edge pixel belongs to what the nearest pixel off the edges belongs to, be it background,
       if that is no further than half a step.
    5. What its components leave of a mask, such as a part that is all edges, is a component too,
       as it is.
    6. Masks of one label whose IoU exceeds ``merge_iou`` are united until there are none.
    7. Masks go back to the image's size. Where a source mask's outline runs within a pixel of the
       working grid of the new one, it is taken over. A mask of which nothing is left, such as one
       that is too small for the working grid, is kept as it was.

    The order of the source masks does not matter. A refined mask has the largest score of its
    source masks; where the source has no scores, it has that of :func:`outline_scores`.

    Args:
        threshold: an edge above it separates, in [0, 0.999].
        radius: a step of the walk goes less than this many pixels of the working grid far.
        beta: exponent of the affinities.
        steps: length of the walk.
        merge_iou: tau_BGP, in [0, 1].
        resolution: longer side of the working grid in pixels; smaller images keep their own size.
        level: share of the largest probability, in (0, 1].
        min_probability: the least probability, in [0, 1].
        min_fragment: components with a smaller share of their mask's area are left out, in [0, 1].
        split_parts: cut a mask also where its parts were apart before; of use where a mask stands
            for all objects of a class.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        threshold: float = 0.2,
        radius: int = 5,
        beta: float = 10,
        steps: int = 256,
        merge_iou: float = 0.5,
        resolution: int = 128,
        level: float = 0.5,
        min_probability: float = 0.25,
        min_fragment: float = 0.1,
        split_parts: bool = False,
    ) -> None:
        check_range("threshold", threshold, 0, 0.999)
        check_range("merge_iou", merge_iou, 0, 1)
        check_range("level", level, 1e-6, 1)
        check_range("min_probability", min_probability, 0, 1)
        check_range("min_fragment", min_fragment, 0, 1)
        check_range("radius", radius, 1, 64)
        check_range("beta", beta, 1e-6, 1e6)
        check_range("steps", steps, 0, 10**6)
        check_range("resolution", resolution, 8, 4096)
        self.threshold, self.radius, self.beta, self.steps = threshold, radius, beta, steps
        self.merge_iou, self.resolution, self.level = merge_iou, resolution, level
        self.min_probability, self.min_fragment = min_probability, min_fragment
        self.split_parts = split_parts

    def settings(self) -> dict[str, float]:
        """All arguments by name."""
        return dict(vars(self))

    def __call__(self, instances: InstanceMasks, edges: NDArray[np.float32]) -> Refinement:
        """Refine the masks of one image.

        Args:
            instances: the source masks, at the image's size (H, W).
            edges: (H, W) in [0, 1].

        Returns:
            Refined masks at the image's size.

        Raises:
            ValueError: if the sizes differ.
        """
        if edges.shape != instances.size:
            raise ValueError(
                f"edges {edges.shape} and masks {instances.size} (H, W) are not of one size"
            )
        grid = working_grid(instances.size, self.resolution)
        lines = resize_edges(torch.from_numpy(np.ascontiguousarray(edges)).float(), grid)
        spread = self._spread(resize_masks(torch.from_numpy(instances.masks), grid), lines)
        masks, sources = self._unite(spread, instances)
        scores = (
            outline_scores(masks, edges)
            if instances.scores is None
            else np.array([max(instances.scores[list(source)]) for source in sources], np.float64)
        )
        labels = np.array([instances.labels[source[0]] for source in sources], dtype=np.int64)
        order = sorted(
            range(len(masks)),
            key=lambda index: (-scores[index], -masks[index].sum(), masks[index].tobytes()),
        )
        chosen = np.array(order, dtype=np.int64)
        pieces = torch.bincount(spread.origin, minlength=len(instances)).tolist()
        return Refinement(
            InstanceMasks(masks[chosen], labels[chosen], scores[chosen]),
            tuple(sources[index] for index in order),
            tuple(pieces),
        )

    def _spread(self, masks: Tensor, edges: Tensor) -> _Spread:
        """Cut masks (K, h, w) by edges (h, w), and let their components walk."""
        pieces, origin = edge_fragments(
            masks, edges, self.threshold, self.split_parts, self.min_fragment
        )
        walked = propagate_masks(pieces, edges, self.radius, self.beta, self.steps)
        limits = (self.level * walked.flatten(1).amax(1)).clamp(min=self.min_probability)
        shares = _over_edges(walked, edges > self.threshold, self.radius // 2 + 1) / (
            2 * limits[:, None, None]
        )
        reached = (shares >= 0.5).flatten(1).any(1)
        shares, origin = shares[reached], origin[reached]
        rest, rest_origin = self._rest(masks, shares >= 0.5, origin)
        return _Spread(torch.cat([shares, rest]), torch.cat([origin, rest_origin]))

    def _rest(self, masks: Tensor, filled: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        """Thick parts of masks (K, h, w) that their own components (F, h, w) leave, and whose."""
        rest = masks.clone()
        for component, index in zip(filled, origin.tolist(), strict=True):
            rest[index] &= ~component
        thick = _opened(rest)
        parts, of = edge_fragments(thick, torch.zeros(masks.shape[1:]), 0.5, split_parts=True)
        large = parts.flatten(1).sum(1) >= self.min_fragment * masks.flatten(1).sum(1)[of]
        return parts[large].float(), of[large]

    def _unite(
        self, spread: _Spread, instances: InstanceMasks
    ) -> tuple[NDArray[np.bool_], list[tuple[int, ...]]]:
        """Masks bool (G, H, W) at the image's size, and the source masks of each."""
        labels = torch.from_numpy(instances.labels)[spread.origin]
        filled = spread.shares >= 0.5  # (F, h, w)
        united: list[Tensor] = []
        sources: list[tuple[int, ...]] = []
        for label in labels.unique():
            chosen = (labels == label).nonzero()[:, 0]
            groups = merge_groups(filled[chosen], self.merge_iou)
            for group in groups.unique():
                members = chosen[groups == group]
                united.append(spread.shares[members].amax(0))  # (h, w)
                sources.append(tuple(sorted(set(spread.origin[members].tolist()))))
        size = instances.size
        masks = _enlarge(torch.stack(united).clamp(max=1.0), size, 0.5) if united else None
        if masks is not None:
            origins = np.stack([instances.masks[list(source)].any(0) for source in sources])
            grid = spread.shares.shape[1:]
            reach = math.ceil(max(size[0] / grid[0], size[1] / grid[1]))
            masks = follow_outlines(masks, origins, reach)
        kept = [index for index in range(len(instances)) if not (spread.origin == index).any()]
        parts = [] if masks is None else [masks]
        return (
            np.concatenate([*parts, instances.masks[kept]]),
            sources + [(index,) for index in kept],
        )


def _over_edges(values: Tensor, on_edge: Tensor, reach: int) -> Tensor:
    """Give edge pixels the values (F, h, w) of the nearest pixel off the edges.

    Pixels further than ``reach`` from any such pixel are not those of a line: they get 0.
    """
    if not on_edge.any() or on_edge.all():
        return values
    free = ~on_edge
    distance, nearest = distance_transform_edt(on_edge.numpy(), return_indices=True)
    rows, columns = torch.from_numpy(nearest).long()
    # Of equally near pixels the left or upper one: true borders run on that side of where segments
    # meet, so that an edge pixel there is its left or upper neighbour's.
    above = on_edge[1:] & free[:-1]
    rows[1:][above], columns[1:][above] = _indices(free)[:, :-1][:, above]
    left = on_edge[:, 1:] & free[:, :-1]
    rows[:, 1:][left], columns[:, 1:][left] = _indices(free)[:, :, :-1][:, left]
    return values[:, rows, columns] * torch.from_numpy(distance <= reach)


def _indices(like: Tensor) -> Tensor:
    """Row and column of each pixel, (2, h, w)."""
    return torch.stack(torch.meshgrid(*(torch.arange(n) for n in like.shape), indexing="ij"))


def _opened(masks: Tensor) -> Tensor:
    """Masks (K, h, w) without what is thinner than 3 pixels."""
    kept = -functional.max_pool2d(-masks.float()[:, None], 3, 1, 1)  # (K, 1, h, w)
    return functional.max_pool2d(kept, 3, 1, 1)[:, 0] > 0


def _enlarge(values: Tensor, size: tuple[int, int], level: float) -> NDArray[np.bool_]:
    """Where values (G, h, w), brought to the image's size, reach the level: bool (G, H, W)."""
    masks = np.empty((len(values), *size), dtype=bool)
    for mask, value in zip(masks, values, strict=True):  # one by one: as floats, all take memory
        large = functional.interpolate(value[None, None], size, mode="bilinear")[0, 0]
        mask[:] = (large >= level).numpy()
    return masks


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a setting out of [low, high], or nan.

    Raises:
        ValueError: if it is; names the setting.
    """
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low:g}, {high:g}], got {value}")
