"""Masks and edges between an image's own size and the smaller grid that refinement works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray

from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional
else:
    torch = lazy_module("torch")
    functional = lazy_module("torch.nn.functional")

_RESOLUTIONS = (128, 192, 256, 384, 512)
_NARROW_SHARE = 0.1  # of a mask's area off the edges; narrower things than that are noise as a rule
_WORKING_WIDTH = 4  # of a component on the grid, in its pixels
_LEAST_WIDTH = 3  # of a component at the image's size, in pixels


def working_grid(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """The grid (h, w) of an image (H, W): its longer side has at most ``resolution`` pixels."""
    scale = min(1.0, resolution / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def fitting_grid(mask: NDArray[np.bool_], on_edge: NDArray[np.bool_]) -> tuple[int, int]:
    """The coarsest working grid on which the components of a mask are still there.

    On a grid, lines of edges grow by up to a pixel on either side. What is narrower than that is
    lost: objects of which there are many in a large image. The grid grows, from 128 pixels up to
    512, until at most a tenth of the mask off the edges lies in components narrower than 4 pixels
    of it. Those narrower than 3 pixels of the image do not count.

    Args:
        mask: bool (H, W).
        on_edge: bool (H, W), the edges that separate.

    Returns:
        (h, w).
    """
    height, width = mask.shape
    coarsest = working_grid((height, width), _RESOLUTIONS[0])
    if coarsest == (height, width) or not (mask & on_edge).any():
        return coarsest
    box = _box(mask)
    free = (mask & ~on_edge)[box]
    count, labels = cv2.connectedComponents(free.astype(np.uint8), connectivity=4)
    if count < 3:  # nothing is cut
        return coarsest
    depth = scipy.ndimage.distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1]
    widths = 2 * np.asarray(scipy.ndimage.maximum(depth, labels, np.arange(1, count))) - 1  # (C,)
    areas = np.bincount(labels.ravel(), minlength=count)[1:]
    for resolution in _RESOLUTIONS:
        grid = working_grid((height, width), resolution)
        scale = height / grid[0] if height > width else width / grid[1]
        narrow = (widths >= _LEAST_WIDTH) & (widths - (scale - 1) < _WORKING_WIDTH * scale)
        if grid == (height, width) or areas[narrow].sum() <= _NARROW_SHARE * areas.sum():
            break
    return grid


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest box that holds a mask (H, W) that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


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
