"""What becomes of masks on the working grid: cut, spread by a walk, and told from noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from trace_mm.lazy import lazy_module
from trace_mm.ops.label_maps import LabelMap
from trace_mm.refinement.outlines import enclosures

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional

    from trace_mm import ops
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")
    ops = lazy_module("trace_mm.ops")

_THICK = 3  # what is thinner is the border of something else, in pixels
_TEXTURED = 0.5  # the least share of edges in a part that its components leave
_NEAR = 1  # how far an edge may be from what it is beside, in pixels
_BELONGS = 0.5  # the share from which on a pixel belongs to a component


@dataclass(frozen=True)
class Walk:
    """Settings of the walk; see :class:`trace_mm.refinement.BoundaryGuidedPropagation`."""

    threshold: float
    radius: int
    beta: float
    steps: int
    level: float
    split_parts: bool
    min_probability: float = 0
    min_fragment: float = 1
    small_fragment: float = 1
    small_evidence: float = 0
    min_enclosure: float = 0
    min_border: float = 0
    weak_share: float = 0
    min_gain: float = 0


@dataclass(frozen=True)
class Spread:
    """Components on a working grid after the walk.

    Attributes:
        shares: float (F, h, w), 0.5 where a pixel just belongs to a component.
        origin: the index of each one's source mask, int64 (F,).
    """

    shares: Tensor
    origin: Tensor


def spread(masks: Tensor, edges: Tensor, walk: Walk) -> Spread:
    """Cut masks (K, h, w) by edges (h, w), and let their components fill what encloses them."""
    pieces, origin = ops.edge_fragments(masks, edges, walk.threshold, walk.split_parts)
    large = pieces.flatten(1).sum(1) >= walk.min_fragment
    large &= _opened(pieces).flatten(1).any(1)
    pieces, cut_from = _without_weak_borders(masks, pieces[large], origin[large], edges, walk)
    walked = ops.propagate_fragments(pieces, edges, walk.radius, walk.beta, walk.steps)
    limits = (walk.level * walked.flatten(1).amax(1)).clamp(min=walk.min_probability)
    on_edge = edges > walk.threshold
    reach = walk.radius // 2 + 1
    shares = _over_edges(walked, on_edge, reach) * (_BELONGS / limits[:, None, None])
    filled = (shares >= _BELONGS).numpy()
    stands = enclosures(filled, on_edge.float().numpy(), reach) >= walk.min_enclosure
    areas = pieces.flatten(1).sum(1)
    inside = (pieces * edges).flatten(1).sum(1) / areas
    stays = (pieces * walked).flatten(1).sum(1) / areas
    evidence = enclosures(filled, edges.numpy(), walk.radius // 2) * ((1 - inside) * stays).numpy()
    stands &= (areas.numpy() >= walk.small_fragment) | (evidence >= walk.small_evidence)
    places = _in_place(masks, pieces, cut_from)
    gains = enclosures(filled, edges.numpy(), _NEAR) - enclosures(places, edges.numpy(), _NEAR)
    pieces_of = torch.bincount(cut_from, minlength=len(masks))[cut_from]
    alone = (pieces_of == 1).numpy()  # (F,)
    stands &= ~alone | (gains >= walk.min_gain)
    done = cut_from[torch.from_numpy(alone & ~stands)]  # these masks are as good as they are
    worse = torch.from_numpy((gains < 0) & ~alone)[:, None, None]
    shares = torch.where(worse, torch.from_numpy(places).float(), shares)
    shares, origin = shares[stands], cut_from[stands]
    rest, rest_origin = _rest(masks, shares >= _BELONGS, origin, walk.small_fragment, on_edge)
    found = [Spread(shares, origin), Spread(rest, rest_origin)]
    for index in sorted(set(cut_from.tolist()) - set(done.tolist())):
        open_pieces = pieces[(cut_from == index) & ~torch.from_numpy(stands)]
        own = shares[origin == index] >= _BELONGS
        parts = _cut_in_place(masks[index], own, open_pieces, edges, walk)
        found.append(Spread(parts, torch.full((len(parts),), index)))
    return Spread(
        torch.cat([one.shares for one in found]), torch.cat([one.origin for one in found])
    )


def _without_weak_borders(
    masks: Tensor, pieces: Tensor, origin: Tensor, edges: Tensor, walk: Walk
) -> tuple[Tensor, Tensor]:
    """Components (F, h, w) of masks (K, h, w), those without a strong border between them united.

    Borders are where the components meet once they fill their mask.
    """
    united: list[Tensor] = []
    sources: list[int] = []
    for index in origin.unique().tolist():
        own = pieces[origin == index]
        labels = _numbered(masks[index], own)
        merged = ops.merge_weak_borders(
            labels, edges.numpy(), walk.min_border, walk.weak_share, reach=_NEAR
        )
        numbers = torch.tensor([int(merged[piece].max()) for piece in own.numpy()])
        for number in numbers.unique():
            united.append(own[numbers == number].any(0))
            sources.append(index)
    if not united:
        return pieces, origin
    return torch.stack(united), torch.tensor(sources)


def _in_place(masks: Tensor, pieces: Tensor, origin: Tensor) -> NDArray[np.bool_]:
    """What of its mask (h, w) is nearest to each component (F, h, w); all if there is no other."""
    places = np.zeros(pieces.shape, dtype=bool)
    for index in origin.unique().tolist():
        members = (origin == index).nonzero()[:, 0].tolist()
        labels = _numbered(masks[index], pieces[members])
        for number, member in enumerate(members, start=1):
            places[member] = labels == number if len(members) > 1 else masks[index].numpy()
    return places


def _numbered(mask: Tensor, pieces: Tensor) -> LabelMap:
    """Components (P, h, w) of a mask (h, w), numbered from 1 and grown until they fill it."""
    numbers = torch.arange(1, len(pieces) + 1)[:, None, None]
    labels = (pieces * numbers).amax(0).numpy().astype(np.int32)
    return ops.fill_labels(labels, mask.numpy())


def _cut_in_place(
    mask: Tensor, standing: Tensor, pieces: Tensor, edges: Tensor, walk: Walk
) -> Tensor:
    """The components (P, h, w) of a mask (h, w) that lines divide but no edges enclose.

    They must not spread, but they are apart. A small one counts if the line beside it is strong.
    What else is left of the mask belongs to the nearest.

    Args:
        mask: bool (h, w).
        standing: bool (S, h, w), its components that edges enclose. If they make up half of it,
            the others are parts of neighbours that the mask runs over, as a rule.
        pieces: its other components.
        edges: (h, w) in [0, 1].
        walk: says what is small.

    Returns:
        float (F, h, w); none if there are less than two components of the mask.
    """
    left = mask & ~standing.any(0)
    if 2 * left.sum() <= mask.sum():
        return torch.zeros(0, *mask.shape)
    beside = functional.max_pool2d(pieces.float()[:, None], 3, 1, 1)[:, 0] > 0
    line = beside & ~pieces & mask & (edges > walk.threshold)  # (P, h, w)
    strength = (line * edges).flatten(1).sum(1) / line.flatten(1).sum(1).clamp(min=1)
    large = pieces.flatten(1).sum(1) >= walk.small_fragment
    pieces = pieces[large | (strength >= walk.small_evidence)]
    if not line.any() or not len(pieces) or len(standing) + len(pieces) < 2:
        return torch.zeros(0, *mask.shape)
    numbers = torch.arange(1, len(pieces) + 1)[:, None, None]
    labels = (pieces * numbers).sum(0)  # (h, w)
    rows, columns = scipy.ndimage.distance_transform_edt(
        (labels == 0).numpy(), return_distances=False, return_indices=True
    )
    return (torch.where(left, labels[rows, columns], 0) == numbers).float()


def spread_as_written(masks: Tensor, edges: Tensor, walk: Walk) -> Spread:
    """Lines 3 and 4 of Alg. 4 alone: components, and where their walk reaches ``level``."""
    pieces, origin = ops.edge_fragments(masks, edges, walk.threshold, walk.split_parts)
    walked = ops.propagate_masks(pieces, edges, walk.radius, walk.beta, walk.steps, exact=True)
    most = walked.flatten(1).amax(1)
    shares = walked * (_BELONGS / (walk.level * most).clamp(min=1e-300))[:, None, None]
    return Spread(shares[most > 0], origin[most > 0])


def _rest(
    masks: Tensor, filled: Tensor, origin: Tensor, least: float, on_edge: Tensor
) -> tuple[Tensor, Tensor]:
    """Parts of masks (K, h, w), full of edges, that components (F, h, w) of them leave; and whose.

    A mask that has no component is not one of them.
    """
    rest = torch.zeros_like(masks)
    rest[origin] = masks[origin]
    for component, index in zip(filled, origin.tolist(), strict=True):
        rest[index] &= ~component
    nothing = torch.zeros(masks.shape[1:])
    parts, of = ops.edge_fragments(_opened(rest), nothing, 0.5, split_parts=True)
    areas = parts.flatten(1).sum(1)
    large = (areas >= least) & ((parts & on_edge).flatten(1).sum(1) >= _TEXTURED * areas)
    return parts[large].float(), of[large]


def _over_edges(values: Tensor, on_edge: Tensor, reach: int) -> Tensor:
    """Give edge pixels the values (F, h, w) of the nearest pixel off the edges.

    Pixels further than ``reach`` from any such pixel are not those of a line: they get 0.
    """
    if not on_edge.any() or on_edge.all():
        return values
    free = ~on_edge
    distance, nearest = scipy.ndimage.distance_transform_edt(on_edge.numpy(), return_indices=True)
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
    """Masks (K, h, w) without what is thinner than some pixels."""
    half = _THICK // 2
    kept = -functional.max_pool2d(-masks.float()[:, None], _THICK, 1, half)  # (K, 1, h, w)
    return functional.max_pool2d(kept, _THICK, 1, half)[:, 0] > 0
