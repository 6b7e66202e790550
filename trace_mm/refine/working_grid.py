"""Masks and edges between an image's own size and the smaller grid that refinement works on."""

import torch
from torch import Tensor
from torch.nn import functional


def working_grid(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """The grid (h, w) of an image (H, W): its longer side has at most ``resolution`` pixels."""
    scale = min(1.0, resolution / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks at another size: pixels that they cover to a half at least.

    Args:
        masks: bool, or float in [0, 1], (K, H, W).
        size: (h, w).

    Returns:
        bool (K, h, w).
    """
    if masks.shape[1:] == size:
        return masks >= 0.5 if masks.is_floating_point() else masks
    if not len(masks):
        return masks.new_zeros((0, *size), dtype=torch.bool)
    smaller = size[0] <= masks.shape[1] and size[1] <= masks.shape[2]
    return torch.stack([_resize(mask.float(), size, smaller) >= 0.5 for mask in masks])


def _resize(mask: Tensor, size: tuple[int, int], smaller: bool) -> Tensor:
    """A mask (H, W) at another size, one at a time: as floats, all would take much memory."""
    if smaller:
        return functional.adaptive_avg_pool2d(mask[None, None], size)[0, 0]
    return functional.interpolate(mask[None, None], size, mode="bilinear")[0, 0]


def resize_edges(edges: Tensor, size: tuple[int, int]) -> Tensor:
    """Edges at another size; made smaller, the strongest of those that fall together remains.

    An average would open the thin lines that keep neighbours apart.

    Args:
        edges: float (H, W).
        size: (h, w).

    Returns:
        float (h, w).
    """
    if edges.shape == size:
        return edges
    if size[0] <= edges.shape[0] and size[1] <= edges.shape[1]:
        return functional.adaptive_max_pool2d(edges[None, None], size)[0, 0]
    return functional.interpolate(edges[None, None], size, mode="bilinear")[0, 0]
