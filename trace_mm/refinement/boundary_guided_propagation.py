"""Boundary-Guided Propagation: masks refined by instance edges (Sec. 3.5, App. C.6, Alg. 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from trace_mm.lazy import lazy_module
from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.outlines import follow_outlines
from trace_mm.refinement.presets import PRESETS, RANGES
from trace_mm.refinement.scores import check_scores, ranked, scored
from trace_mm.refinement.spreading import Spread, Walk, spread, spread_as_written
from trace_mm.refinement.working_grid import fitting_grid, resize_edges, resize_masks, working_grid
from trace_mm.registry import TASK_UTILS

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional

    from trace_mm import ops
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")
    ops = lazy_module("trace_mm.ops")


@dataclass(frozen=True)
class Refinement:
    """Refined masks, and what became of the source's.

    Attributes:
        instances: the refined masks, with scores, by falling score; of equal scores by falling
            area, then by content.
        sources: for each of them, the rising indices of the source masks that it is made of.
        pieces: for each source mask, how many components it has; 0 if it is kept as it was or, by
            the preset "paper", consists of edges only.
    """

    instances: InstanceMasks
    sources: tuple[tuple[int, ...], ...]
    pieces: tuple[int, ...]


@TASK_UTILS.register_module()
class BoundaryGuidedPropagation:
    """Cuts masks where edges cross them, lets the pieces fill what edges enclose, and unites them.

    But for the preset "paper":

    1. Masks and edges are brought to a working grid.
    2. Edge pixels cut each mask into its connected components. Two of them are one unless an edge
       above ``min_border`` runs along their common border, but for the share ``weak_share``.
    3. Each component spreads by a random walk that edges hold back (Eq. 11). A pixel belongs to it
       if the walk reaches it with at least ``level`` times the largest probability, and with
       ``min_probability``: what spreads thinner than that has met no edges that enclose it.
    4. An edge pixel belongs to what the nearest pixel off the edges belongs to, be it background,
       if that is no further than half a step.
    5. A component stands if edges are what ends it: along ``min_enclosure`` of its outline, where
       the image's border is none. One that was cut out with fewer than ``small_fragment`` pixels
       is noise unless o (1 - i) s is at least ``small_evidence``: o is the mean edge beside its
       outline, i that inside it, s how likely a walk stays in it. An object that is enclosed and
       filled has 1, a part of a neighbour that the mask runs over has little.
    6. What the components of a mask leave of it because it is full of edges (half of it at least),
       such as an object with a strong texture, is a component too, as it is, from
       ``small_fragment`` pixels on.
    7. Where components that stand make up less than half of a mask, the others are components too,
       as they are: lines of edges divide them, though none end them.
    8. Masks of one label whose IoU exceeds ``merge_iou`` are united until there are none.
    9. Masks go back to the image's size. Where a source mask's outline runs within a pixel of the
       working grid of the new one, it is taken over. A mask of which there are no two components
       and none that stands is kept as it was: it is too small for the working grid, or no edges cut
       or enclose anything of it. So without edges above the threshold all masks are as they were.

    The preset "paper" is Alg. 4 as it is written, at the image's own size: components, their walk,
    ``level`` times its largest probability, and the union of masks; no more. What consists of edges
    only is gone. docs/method.md says where the paper is silent.

    The order of the source masks does not matter.

    Args:
        preset: what the settings are that are not given: "photos" and "scenes" were chosen on
            photos and on drawn scenes; "paper" is Alg. 4 as it is written.
        threshold: an edge above it separates, in [0, 0.999].
        radius: a step of the walk goes less than this many pixels of the working grid far.
        beta: exponent of the affinities: how much weak edges hold back.
        steps: length of the walk.
        merge_iou: masks of one label whose IoU exceeds it are united (tau_BGP), in [0, 1].
        resolution: longer side of the working grid in pixels; smaller images keep their own size.
            "image" for the image's own; "auto" for 128, and up to 512 for masks that edges cut into
            components too narrow for that.
        level: a pixel belongs to a component where the walk has this share of its largest
            probability, in (0, 1].
        min_probability: the least probability at which a pixel belongs to a component, in [0, 1].
        min_fragment: components of fewer pixels of the working grid are left out; so are those
            that are nowhere 3 pixels wide.
        small_fragment: components of fewer pixels of the working grid need strong edges all
            around.
        small_evidence: how strong these must be, in [0, 1].
        min_enclosure: the least share of a component's outline that lies on edges, in [0, 1].
        min_border: an edge above it must run along the common border of two components, in [0, 1].
        weak_share: the share of a border along which the edge may be weaker, in [0, 1].
        min_gain: by how much stronger the edges beside a new outline must be, in [0, 1].
        split_parts: cut a mask also where its parts were apart before; of use where a mask stands
            for all objects of a class.
        scores: of refined masks: "source" for the largest score of their source masks, 1 where the
            source has none; "constant" for 1; "outline" for how well edges agree with their
            outlines, whatever the source has.

    Scores by outlines are those of :func:`trace_mm.refinement.outline_scores`.
    ``min_probability``, ``min_enclosure``, ``min_gain`` and what concerns fragments and borders are
    not of the preset "paper".

    Raises:
        ValueError: if a setting is out of range, or the preset has none of that name.
    """

    def __init__(
        self,
        preset: Literal["photos", "scenes", "paper"] = "photos",
        *,
        threshold: float | None = None,
        radius: int | None = None,
        beta: float | None = None,
        steps: int | None = None,
        merge_iou: float | None = None,
        resolution: int | Literal["image", "auto"] | None = None,
        level: float | None = None,
        min_probability: float | None = None,
        min_fragment: float | None = None,
        small_fragment: float | None = None,
        small_evidence: float | None = None,
        min_enclosure: float | None = None,
        min_border: float | None = None,
        weak_share: float | None = None,
        min_gain: float | None = None,
        split_parts: bool | None = None,
        scores: Literal["source", "constant", "outline"] = "source",
    ) -> None:
        given = {name: value for name, value in locals().items() if value is not None}
        for name in ("self", "preset", "scores"):
            del given[name]
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
        check_scores(scores)
        for name, value in given.items():
            if name not in PRESETS[preset]:
                raise ValueError(f"the preset {preset!r} has no {name}")
            if name in RANGES and not (name == "resolution" and value in ("auto", "image")):
                check_range(name, value, *RANGES[name])
        self._settings: dict[str, Any] = {
            "preset": preset,
            **PRESETS[preset],
            **given,
            "scores": scores,
        }
        self.scores = scores
        self._as_written = preset == "paper"
        self._merge_iou: float = self._settings["merge_iou"]
        self._resolution: int | str = self._settings["resolution"]
        self._walk = Walk(
            **{f.name: self._settings[f.name] for f in fields(Walk) if f.name in self._settings}
        )

    def settings(self) -> dict[str, Any]:
        """All settings by name, as arguments that make the same again."""
        return dict(self._settings)

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
        found = self._spread(instances, edges)
        masks, sources = self._unite(found, instances)
        labels = np.array([instances.labels[source[0]] for source in sources], dtype=np.int64)
        given = (
            None
            if instances.scores is None
            else np.array([max(instances.scores[list(source)]) for source in sources], np.float64)
        )
        result = scored(InstanceMasks(masks, labels, given), edges, self.scores)
        order = ranked(result)
        return Refinement(
            result.select(order),
            tuple(sources[index] for index in order),
            tuple(torch.bincount(found.origin, minlength=len(instances)).tolist()),
        )

    def _spread(self, instances: InstanceMasks, edges: NDArray[np.float32]) -> Spread:
        """The components of all masks after their walk, on the finest grid that one of them has."""
        lines = torch.from_numpy(np.ascontiguousarray(edges)).float()
        masks = torch.from_numpy(instances.masks)
        grids = self._grids(instances, edges)
        finest = max(grids, default=working_grid(instances.size, 128))
        found = []
        for grid in sorted(set(grids)):
            chosen = torch.tensor([index for index, one in enumerate(grids) if one == grid])
            one = (spread_as_written if self._as_written else spread)(
                resize_masks(masks[chosen], grid), resize_edges(lines, grid), self._walk
            )
            found.append(Spread(_resize(one.shares, finest), chosen[one.origin]))
        if not found:
            return Spread(torch.zeros(0, *finest), torch.zeros(0, dtype=torch.int64))
        return Spread(
            torch.cat([one.shares for one in found]), torch.cat([one.origin for one in found])
        )

    def _grids(self, instances: InstanceMasks, edges: NDArray[np.float32]) -> list[tuple[int, int]]:
        """The working grid of each mask."""
        if self._resolution == "auto":
            on_edge = edges > self._walk.threshold
            return [fitting_grid(mask, on_edge) for mask in instances.masks]
        longer = max(instances.size) if self._resolution == "image" else int(self._resolution)
        return [working_grid(instances.size, longer)] * len(instances)

    def _unite(
        self, found: Spread, instances: InstanceMasks
    ) -> tuple[NDArray[np.bool_], list[tuple[int, ...]]]:
        """Masks bool (G, H, W) at the image's size, and the source masks of each."""
        labels = torch.from_numpy(instances.labels)[found.origin]
        filled = found.shares >= 0.5  # (F, h, w)
        united: list[Tensor] = []
        sources: list[tuple[int, ...]] = []
        for label in labels.unique():
            chosen = (labels == label).nonzero()[:, 0]
            groups = ops.merge_groups(filled[chosen], self._merge_iou)
            for group in groups.unique():
                members = chosen[groups == group]
                united.append(found.shares[members].amax(0))  # (h, w)
                sources.append(tuple(sorted(set(found.origin[members].tolist()))))
        size = instances.size
        masks = np.zeros((0, *size), dtype=bool)
        if united:
            masks = _enlarge(torch.stack(united).clamp(max=1.0), size, 0.5)
        if self._as_written:
            return masks, sources
        if united:
            origins = np.stack([instances.masks[list(source)].any(0) for source in sources])
            grid = found.shares.shape[1:]
            reach = math.ceil(max(size[0] / grid[0], size[1] / grid[1]))
            masks = follow_outlines(masks, origins, reach)
        kept = [index for index in range(len(instances)) if not (found.origin == index).any()]
        return (
            np.concatenate([masks, instances.masks[kept]]),
            sources + [(index,) for index in kept],
        )


def _resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values (F, h, w) at another size."""
    if values.shape[1:] == size or not len(values):
        return values.new_zeros(0, *size) if not len(values) else values
    return functional.interpolate(values[:, None], size, mode="bilinear")[:, 0]


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
