"""Masks before and after refinement, drawn side by side."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.visualization.overlay import draw_overlay

SPLIT_COLOR = (1.0, 0.85, 0.0)  # RGB, where a mask was split
MERGE_COLOR = (0.0, 0.9, 1.0)  # where masks became one
_GAP = 4  # white pixels between pictures
_SMALLEST_TEXT = 0.3  # of OpenCV's scale, 7 pixels high
_GOLDEN = 0.618034


def draw_refinement(
    image: NDArray[np.float32],
    before: NDArray[np.bool_],
    edges: NDArray[np.float32] | None,
    after: NDArray[np.bool_],
    sources: Sequence[Sequence[int]],
) -> NDArray[np.uint8]:
    """Source masks, edges, and refined masks, side by side with captions, one colour an instance.

    A refined mask has the colour of the source mask that it covers most of, unless another covers
    more of it. Where a source mask was split, the border between its successors is yellow in the
    last picture; the outline of a mask that several were united to is light blue.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        before: bool (K, H, W).
        edges: float (H, W) in [0, 1]; None leaves their picture out.
        after: bool (G, H, W), the first in front.
        sources: for each of ``after``, the masks of ``before`` that it was made of.

    Returns:
        uint8 (H + the captions' height, 3 W + 2 gaps, 3) RGB; without edges 2 W and a gap wide.
    """
    line = max(1, round(max(image.shape[:2]) / 160))
    refined = draw_instances(image, after, matching_colors(before, after, sources))
    refined[split_borders(after, sources, line)] = _as_bytes(SPLIT_COLOR)
    for mask, origin in zip(after, sources, strict=True):
        if len(origin) > 1:
            refined[_outline(mask, line)] = _as_bytes(MERGE_COLOR)
    pictures = [with_caption(draw_instances(image, before), "before")]
    if edges is not None:
        pictures.append(with_caption(draw_overlay(image, edges), "edges"))
    pictures.append(with_caption(refined, "after"))
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, dtype=np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def with_caption(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A picture (H, W, 3) on top of a white strip with words, as large as the width allows.

    Returns:
        uint8 (H + the strip's height, W, 3); the height depends on the shape of the picture only.
    """
    height, width = picture.shape[:2]
    scale = float(np.clip(max(height, width) / 640, _SMALLEST_TEXT, 1.5))
    line = max(1, round(scale))
    tall = round(30 * scale)
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, line)
    if wide > width - 2:
        scale = max(scale * (width - 2) / wide, _SMALLEST_TEXT)
    strip = np.full((tall, width, 3), 255, dtype=np.uint8)
    place = (min(4, width // 8), round(0.75 * tall))
    color = (40, 40, 40)
    cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, line, cv2.LINE_AA)
    return np.concatenate([picture, strip], axis=0)


def matching_colors(
    before: NDArray[np.bool_], after: NDArray[np.bool_], sources: Sequence[Sequence[int]]
) -> list[int]:
    """Colours with which an object keeps its colour; see ``instance_color``.

    Args:
        before: bool (K, H, W); mask k has colour k.
        after: bool (G, H, W).
        sources: for each of ``after``, the masks of ``before`` that it was made of.

    Returns:
        G different numbers: that of a source to the mask that has most pixels of it in common, and
        numbers from K up to those that are left.
    """
    shared = sorted(
        (-int(np.count_nonzero(mask & before[source])), source, number)
        for number, (mask, origin) in enumerate(zip(after, sources, strict=True))
        for source in origin
    )
    chosen: dict[int, int] = {}
    for _, source, number in shared:
        if number not in chosen and source not in chosen.values():
            chosen[number] = source
    new = itertools.count(len(before))
    return [chosen[number] if number in chosen else next(new) for number in range(len(after))]


def draw_instances(
    image: NDArray[np.float32],
    masks: NDArray[np.bool_],
    colors: Sequence[int] | None = None,
    opacity: float = 0.55,
) -> NDArray[np.uint8]:
    """Masks (K, H, W) over a grey copy of their image, the first in front, with white outlines.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        masks: bool (K, H, W).
        colors: number of the colour of each mask, see ``instance_color``; None counts from 0.
        opacity: of the colours.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    drawn = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)  # (H, W, 3)
    line = max(1, round(max(image.shape[:2]) / 320))
    numbers = range(len(masks)) if colors is None else colors
    for index in range(len(masks) - 1, -1, -1):
        mask = masks[index]
        drawn[mask] = (1 - opacity) * drawn[mask] + opacity * instance_color(numbers[index])
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
