"""Masks before and after refinement, drawn side by side."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.visualization.overlay import draw_overlay

SPLIT_COLOR = (1.0, 0.85, 0.0)  # RGB, where a mask was split
MERGE_COLOR = (0.0, 0.9, 1.0)  # where masks became one
_GAP = 4  # white pixels between pictures
_GOLDEN = 0.618034


def draw_refinement(
    image: NDArray[np.float32],
    before: NDArray[np.bool_],
    edges: NDArray[np.float32],
    after: NDArray[np.bool_],
    sources: Sequence[Sequence[int]],
) -> NDArray[np.uint8]:
    """Source masks, edges, and refined masks, side by side, one colour an instance.

    Where a source mask was split, the border between its successors is yellow in the third picture;
    the outline of a mask that several were united to is light blue.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        before: bool (K, H, W).
        edges: float (H, W) in [0, 1].
        after: bool (G, H, W), the first in front.
        sources: for each of ``after``, the masks of ``before`` that it was made of.

    Returns:
        uint8 (H, 3 W + 2 gaps, 3) RGB.
    """
    line = max(1, round(max(edges.shape) / 160))
    refined = draw_instances(image, after)
    refined[split_borders(after, sources, line)] = _as_bytes(SPLIT_COLOR)
    for mask, origin in zip(after, sources, strict=True):
        if len(origin) > 1:
            refined[_outline(mask, line)] = _as_bytes(MERGE_COLOR)
    gap = np.full((image.shape[0], _GAP, 3), 255, dtype=np.uint8)
    pictures = [draw_instances(image, before), gap, draw_overlay(image, edges), gap, refined]
    return np.concatenate(pictures, axis=1)


def draw_instances(
    image: NDArray[np.float32], masks: NDArray[np.bool_], opacity: float = 0.55
) -> NDArray[np.uint8]:
    """Masks (K, H, W) over a grey copy of their image, the first in front, with white outlines.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    drawn = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)  # (H, W, 3)
    line = max(1, round(max(image.shape[:2]) / 320))
    for index in range(len(masks) - 1, -1, -1):
        mask = masks[index]
        drawn[mask] = (1 - opacity) * drawn[mask] + opacity * instance_color(index)
        drawn[_outline(mask, line)] = 1.0
    return np.rint(np.clip(drawn, 0, 1) * 255).astype(np.uint8)


def instance_color(index: int) -> NDArray[np.float32]:
    """RGB in [0, 1]; successive colours are far apart in hue."""
    hue = (index * _GOLDEN) % 1.0 * 360.0
    value = 1.0 - 0.25 * (index // 5 % 2)
    pixel = np.array([[[hue, 0.85, value]]], dtype=np.float32)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB), dtype=np.float32)[0, 0]


def split_borders(
    masks: NDArray[np.bool_], sources: Sequence[Sequence[int]], reach: int
) -> NDArray[np.bool_]:
    """Where masks (G, H, W) that were split from one come within ``reach`` pixels: bool (H, W)."""
    borders = np.zeros(masks.shape[1:], dtype=bool)
    grown = [cv2.dilate(mask.astype(np.uint8), _disc(reach)) > 0 for mask in masks]
    for first in range(len(masks)):
        for second in range(first + 1, len(masks)):
            if set(sources[first]) & set(sources[second]):
                borders |= grown[first] & grown[second]
    return borders


def _outline(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The pixels of a mask that are within ``width`` of its border."""
    inner = cv2.erode(mask.astype(np.uint8), _disc(width), borderValue=1)
    return np.asarray(mask & (inner == 0), dtype=bool)


def _disc(radius: int) -> NDArray[np.uint8]:
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)


def _as_bytes(color: tuple[float, float, float]) -> NDArray[np.uint8]:
    return np.rint(np.array(color) * 255).astype(np.uint8)
