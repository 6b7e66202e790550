"""Segments of a photo, which may lie in one another: drawn over it, and as outlines for a page."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.visualization.overlay import thumbnail
from trace_mm.visualization.refinement import instance_color

_OPACITY = 0.5
_LINE = 480  # of so many pixels of the longer side, an outline is as wide as one


def draw_segments(
    image: NDArray[np.float32], masks: NDArray[np.bool_], longest: int = 2048
) -> NDArray[np.uint8]:
    """Masks over their photo: small ones in front of large ones, each with a white outline.

    So what lies inside another mask can be seen, and of masks that cross the smaller one is whole.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        masks: bool (K, H, W); mask k has colour k, see ``instance_color``.
        longest: the picture's sides are not longer than that.

    Returns:
        uint8 (h, w, 3) RGB.
    """
    photo = thumbnail(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8), longest)
    height, width = photo.shape[:2]
    front = np.full((height, width), -1, dtype=np.int32)
    for index in _from_large_to_small(masks):
        front[mask_at_size(masks[index], (height, width))] = index
    colors = np.array([instance_color(index) for index in range(len(masks))] + [(0, 0, 0)])
    covered = (front >= 0)[:, :, None]  # (h, w, 1)
    tinted = (1 - _OPACITY) * photo + _OPACITY * 255 * colors[front]  # -1 is the last
    drawn = np.where(covered, tinted, photo)
    drawn[_borders(front, max(1, round(max(height, width) / _LINE)))] = 255
    return np.rint(drawn).astype(np.uint8)


def outline_path(mask: NDArray[np.bool_], size: tuple[int, int], tolerance: float = 0.7) -> str:
    """The outline of a mask as the ``d`` of an SVG path, to be filled by the even-odd rule.

    Args:
        mask: bool (H, W).
        size: (h, w) of the picture that the path is for; its coordinates are whole pixels.
        tolerance: how far a simpler outline may be from the exact one, in pixels of the picture.

    Returns:
        Relative moves, through the middles of the pixels at the mask's rim: ``m3,4l1,0 0,2z``.
        Empty if nothing is left at this size.
    """
    small = mask_at_size(mask, size).astype(np.uint8)
    found, _ = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts, last = [], np.zeros(2, dtype=np.int64)
    for ring in found:
        points = cv2.approxPolyDP(ring, tolerance, closed=True)[:, 0].astype(np.int64)  # (n, 2)
        steps = np.diff(points, axis=0, prepend=last[None])
        first, *others = (f"{x},{y}" for x, y in steps.tolist())
        parts.append(f"m{first}{'l' if others else ''}{' '.join(others)}z")
        last = points[0]  # where "z" leads back to
    return "".join(parts)


def outline_paths(masks: NDArray[np.bool_], size: tuple[int, int]) -> list[str]:
    """The outline of each of the masks (K, H, W); see :func:`outline_path`."""
    return [outline_path(mask, size) for mask in masks]


def _from_large_to_small(masks: NDArray[np.bool_]) -> Sequence[int]:
    """Indices by falling area; of equal ones the first comes last."""
    areas = masks.sum((1, 2))
    return sorted(range(len(masks)), key=lambda index: (-areas[index], -index))


def mask_at_size(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at a size (h, w): pixels that it covers at least half of."""
    if mask.shape == size:
        return mask
    small = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 0.5, dtype=bool)


def _borders(labels: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Where a label meets another, ``width`` pixels wide or one more: bool (h, w)."""
    borders = np.zeros(labels.shape, dtype=np.uint8)
    borders[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    borders[1:] |= labels[1:] != labels[:-1]
    kernel = np.ones((width, width), dtype=np.uint8)
    return np.asarray(cv2.dilate(borders, kernel) > 0, dtype=bool)
