"""Edges drawn over the image that they were read from."""

import cv2
import numpy as np
from numpy.typing import NDArray

EDGE_COLOR = (1.0, 0.18, 0.47)  # RGB; rare in photos, and visible on light and on dark


def draw_overlay(
    image: NDArray[np.float32],
    edges: NDArray[np.float32],
    color: tuple[float, float, float] = EDGE_COLOR,
    fade: float = 0.35,
) -> NDArray[np.uint8]:
    """Lay edges over a faded copy of their image, as opaque as they are strong.

    Args:
        image: float (H, W, 3) RGB in [0, 1].
        edges: float (H, W) in [0, 1].
        color: RGB in [0, 1] of the edges.
        fade: how far the image is faded to its grey, in [0, 1].

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        ValueError: if the sizes differ or ``fade`` is out of range.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[:2] != edges.shape:
        raise ValueError(
            f"image {image.shape} and edges {edges.shape} must be (H, W, 3) and (H, W)"
        )
    if not 0 <= fade <= 1:
        raise ValueError(f"fade must lie in [0, 1], got {fade}")
    grey = image.mean(axis=2, keepdims=True)  # (H, W, 1)
    base = (1 - fade) * image + fade * grey
    opacity = edges[:, :, None]  # (H, W, 1)
    mixed = base * (1 - opacity) + np.asarray(color, dtype=np.float32) * opacity
    return np.rint(np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def thumbnail(pixels: NDArray[np.uint8], longest: int = 640) -> NDArray[np.uint8]:
    """Shrink pixels (H, W) or (H, W, 3) until no side exceeds ``longest``; never enlarge.

    A side never falls below 1, so that images one pixel wide stay visible.
    """
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
