"""Panoptic labels and what they are made of, drawn side by side."""

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.visualization.refinement import instance_color


def draw_segments(
    image: NDArray[np.float32], ids: NDArray[np.int32], opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Segments over a grey copy of their image, with white borders; void stays dark.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        ids: (H, W), 0 is void. Successive ids have colours that are far apart.
        opacity: of the colours, in [0, 1].

    Returns:
        uint8 (H, W, 3) RGB.
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)  # (H, W, 3)
    count = int(ids.max(initial=0))
    colors = np.zeros((count + 1, 3), dtype=np.float32)
    for number in range(count):
        colors[number + 1] = instance_color(number)
    drawn = (1 - opacity) * grey + opacity * colors[ids]
    drawn[_borders(ids)] = 1.0
    return np.rint(np.clip(drawn, 0, 1) * 255).astype(np.uint8)


def draw_panoptic(
    image: NDArray[np.float32],
    classes: NDArray[np.int32],
    edges: NDArray[np.float32] | None,
    ids: NDArray[np.int32],
    longest: int = 400,
) -> NDArray[np.uint8]:
    """Image, semantic map, edges if there are any, and segments, side by side without gaps.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        classes: class numbers (H, W), -1 is void.
        edges: float (H, W) in [0, 1].
        ids: segment ids (H, W), 0 is void.
        longest: side that pictures are shrunk to; they are never enlarged.

    Returns:
        uint8 (h, 3 w or 4 w, 3) RGB.
    """
    height, width = ids.shape
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    rows, columns = (
        (2 * np.arange(small) + 1) * large // (2 * small)
        for small, large in zip(size, (height, width), strict=True)
    )
    nearest = np.ix_(rows, columns)
    small_image = _shrunk(image, size)
    panels = [
        np.rint(np.clip(small_image, 0, 1) * 255).astype(np.uint8),
        draw_segments(small_image, classes[nearest] + 1),
    ]
    if edges is not None:
        lines = np.rint(np.clip(_shrunk(edges, size), 0, 1) * 255).astype(np.uint8)  # (h, w)
        panels.append(np.repeat(lines[:, :, None], 3, axis=2))
    panels.append(draw_segments(small_image, ids[nearest]))
    return np.concatenate(panels, axis=1)


def _shrunk(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA))


def _borders(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where the right or lower neighbour is another segment: bool (H, W)."""
    borders = np.zeros(ids.shape, dtype=bool)
    borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    borders[:-1] |= ids[:-1] != ids[1:]
    return borders
