"""Masks cut into the components that edges separate (Sec. 3.5, Alg. 4 line 3)."""

import cv2
import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor


def split_by_edges(masks: Tensor, edges: Tensor, threshold: float = 0.5) -> Tensor:
    """Cut masks along edges: each connected component that remains is a mask of its own.

    Edge pixels belong to no component. Parts of a mask that were apart already and that no edge
    cuts stay one mask; see :func:`edge_fragments`.

    Args:
        masks: bool (K, H, W).
        edges: (H, W) in [0, 1].
        threshold: pixels above it separate.

    Returns:
        bool (F, H, W), in the order of the masks and from top to bottom. A mask that lies on edges
        altogether has no component.

    Raises:
        ValueError: if shapes or types do not fit.

    Examples:
        >>> import torch
        >>> mask, edges = torch.ones(1, 1, 5, dtype=torch.bool), torch.tensor([[0, 0, 0.9, 0, 0]])
        >>> split_by_edges(mask, edges).int().tolist()
        [[[1, 1, 0, 0, 0]], [[0, 0, 0, 1, 1]]]
    """
    return edge_fragments(masks, edges, threshold)[0]


def edge_fragments(
    masks: Tensor,
    edges: Tensor,
    threshold: float = 0.5,
    split_parts: bool = False,
    min_share: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """What :func:`split_by_edges` returns, and which mask each component comes from.

    Pixels are connected through their sides, not their corners, so that a diagonal line of edge
    pixels separates.

    Args:
        masks: bool (K, H, W).
        edges: (H, W) in [0, 1].
        threshold: pixels above it separate.
        split_parts: split masks also where they were apart before; of use where a mask stands for
            all objects of a class.
        min_share: components with a smaller share of their mask's area are left out.

    Returns:
        Components, bool (F, H, W), and the index of each one's mask, int64 (F,), rising.

    Raises:
        ValueError: if shapes or types do not fit.

    Examples:
        >>> import torch
        >>> masks, edges = torch.ones(2, 1, 3, dtype=torch.bool), torch.tensor([[0, 0.9, 0]])
        >>> fragments, sources = edge_fragments(masks, edges)
        >>> len(fragments), sources.tolist()
        (4, [0, 0, 1, 1])
    """
    check_masks(masks)
    if edges.shape != masks.shape[1:]:
        raise ValueError(
            f"masks (K, H, W) and edges (H, W) differ: {tuple(masks.shape)}, {tuple(edges.shape)}"
        )
    free = (edges <= threshold).cpu().numpy()  # (H, W)
    found: list[NDArray[np.bool_]] = []
    sources: list[int] = []
    for index, mask in enumerate(masks.cpu().numpy()):
        pieces = _components(mask, free, split_parts, min_share * np.count_nonzero(mask))
        found += pieces
        sources += [index] * len(pieces)
    stacked = np.stack(found) if found else np.zeros((0, *edges.shape), dtype=bool)
    return (
        torch.from_numpy(stacked).to(masks.device),
        torch.tensor(sources, dtype=torch.int64, device=masks.device),
    )


def edge_cores(
    mask: NDArray[np.bool_], edges: NDArray[np.float32], threshold: float, gap: float
) -> NDArray[np.int32]:
    """Cut a mask along edges, and where a line of edge pixels has a gap, through the gap.

    The pixels off the edges form components. Where such a component falls apart without the pixels
    that are within ``gap`` of an edge, it is replaced by what remains of it: cores, which lie on
    either side of a gap and have yet to be grown. A component of which nothing remains, such as a
    thin object, is a core as it is. Ours, not the paper's.

    Args:
        mask: bool (H, W).
        edges: (H, W) in [0, 1].
        threshold: pixels above it separate.
        gap: lines with gaps of up to twice this many pixels separate. 0 closes none.

    Returns:
        The number of each pixel's core from 1, int32 (H, W); 0 in none. Pixels of a core are
        connected through their sides.
    """
    cut = edges > threshold
    components = _label(mask & ~cut)
    if gap == 0 or not cut.any():
        return components
    far = scipy.ndimage.distance_transform_edt(~cut) > gap
    cores = _label((components > 0) & far)
    with_core = np.zeros(components.max() + 1, dtype=bool)
    with_core[components[cores > 0]] = True
    whole = (components > 0) & ~with_core[components]
    return np.where(whole, cores.max() + _label(whole), cores).astype(np.int32)


def enclosed_components(
    components: NDArray[np.int32],
    mask: NDArray[np.bool_],
    edges: NDArray[np.float32],
    strength: float,
    side: int,
) -> NDArray[np.bool_]:
    """Which components are thick, and have strong edges all around.

    Around a component are the pixels of the mask that share a side with it and are not its own; of
    these one in ten may be weaker. Lines that noise leaves are weak in many places, and slivers
    that an edge cuts off the rim of a mask are thin. Ours, not the paper's.

    Args:
        components: numbers from 1, 0 is none, (H, W).
        mask: bool (H, W), what the components are parts of.
        edges: (H, W) in [0, 1].
        strength: edges above it are strong.
        side: a square of so many pixels, an odd number, fits in a thick component.

    Returns:
        bool (K + 1,), by number.
    """
    enclosed = np.zeros(int(components.max(initial=0)) + 1, dtype=bool)
    for number, box in enumerate(scipy.ndimage.find_objects(components), start=1):
        if box is None:
            continue
        wide = tuple(slice(max(one.start - 1, 0), one.stop + 1) for one in box)
        own = components[wide] == number
        distance = scipy.ndimage.distance_transform_cdt(np.pad(own, 1), "chessboard")
        if 2 * distance.max() - 1 >= side:
            around = scipy.ndimage.binary_dilation(own) & ~own & mask[wide]
            weak = np.count_nonzero(edges[wide][around] <= strength)
            enclosed[number] = 10 * weak <= np.count_nonzero(around)
    return enclosed


def _components(
    mask: NDArray[np.bool_], free: NDArray[np.bool_], split_parts: bool, least: float
) -> list[NDArray[np.bool_]]:
    """The components of a mask off the edges that have at least so many pixels."""
    labels = _label(mask & free)
    numbers, first = np.unique(labels, return_index=True)  # where each label occurs first
    numbers, first = numbers[numbers > 0], first[numbers > 0]
    if split_parts or len(numbers) < 2:
        groups = [[number] for number in numbers]
    else:
        part = _label(mask).ravel()[first]  # in which part of the mask each component lies
        is_cut = np.bincount(part)[part] > 1
        groups = [[number] for number in numbers[is_cut]]
        groups += [list(numbers[~is_cut])] if not is_cut.all() else []
    areas = np.bincount(labels.ravel())
    large = [group for group in groups if areas[group].sum() >= least]
    return [labels == group[0] if len(group) == 1 else np.isin(labels, group) for group in large]


def _label(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1].astype(np.int32)


def check_masks(masks: Tensor) -> None:
    """Refuse what are no masks.

    Raises:
        ValueError: if they are not bool (K, H, W).
    """
    if masks.ndim != 3 or masks.dtype != torch.bool:
        raise ValueError(f"masks must be bool (K, H, W), got {masks.dtype} {tuple(masks.shape)}")
