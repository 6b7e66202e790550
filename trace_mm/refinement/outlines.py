"""Outlines of masks: how well edges agree with them, and where a source knows them better."""

import cv2
import numpy as np
from numpy.typing import NDArray


def outline_scores(
    masks: NDArray[np.bool_], edges: NDArray[np.float32], reach: int = 2
) -> NDArray[np.float64]:
    """How much of each mask's outline lies on edges, and how little of its inside does.

    The score is s = o (1 - i): o is the mean, over the pixels of the outline, of the strongest edge
    within ``reach`` pixels; i is the mean edge of the inside, which is what is further than
    ``reach`` pixels from the outline. Where the image ends there is no outline. Ours, not the
    paper's.

    Args:
        masks: bool (K, H, W).
        edges: (H, W) in [0, 1].
        reach: in pixels, at an image of 128 pixels; it grows with the longer side.

    Returns:
        float64 (K,) in [0, 1]; 0 for a mask that is empty, fills the image, or is too thin to have
        an inside.
    """
    reach = max(1, round(reach * max(edges.shape) / 128))
    near = np.asarray(cv2.dilate(edges, _square(reach)), dtype=np.float32)  # (H, W)
    return np.array([_score(mask, edges, near, reach) for mask in masks], dtype=np.float64)


def enclosures(
    masks: NDArray[np.bool_], edges: NDArray[np.float32], reach: int
) -> NDArray[np.float64]:
    """How well edges enclose each mask: the mean of the strongest edge beside its outline.

    Where the image ends there is no outline.

    Args:
        masks: bool (K, H, W).
        edges: (H, W) in [0, 1].
        reach: how far an edge may be from the outline, in pixels.

    Returns:
        float64 (K,) in [0, 1]; 0 for a mask without an outline: one that is empty or fills the
        image.
    """
    near = np.asarray(cv2.dilate(edges, _square(reach)), dtype=np.float32)  # (H, W)
    outlines = (_outline(mask) for mask in masks)
    return np.array([near[o].mean() if o.any() else 0.0 for o in outlines], dtype=np.float64)


def follow_outlines(
    masks: NDArray[np.bool_], sources: NDArray[np.bool_], reach: int
) -> NDArray[np.bool_]:
    """Take over the outlines of source masks where they run close to those of the masks.

    Masks from a coarse grid, or from edges that are a pixel wide, know their outline to within some
    pixels only. Where all that is surely inside is in the source, and all that is surely outside is
    not, the source says where between them the outline is.

    Args:
        masks: bool (G, H, W).
        sources: bool (G, H, W), for each mask what it was made of.
        reach: how far off an outline may be, in pixels.

    Returns:
        bool (G, H, W).
    """
    return np.stack(
        [_follow(mask, source, reach) for mask, source in zip(masks, sources, strict=True)]
    )


def _follow(mask: NDArray[np.bool_], source: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    pixels = mask.astype(np.uint8)
    inside = cv2.erode(pixels, _square(reach)) > 0
    outside = cv2.dilate(pixels, _square(reach)) == 0
    window = _square(2 * reach)  # both sides of the band

    def near(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = cv2.dilate(region.astype(np.uint8), window) > 0
        return found

    tells = near(inside) & near(outside) & ~near(inside & ~source) & ~near(outside & source)
    return np.where(tells & ~inside & ~outside, source, mask)


def _score(
    mask: NDArray[np.bool_], edges: NDArray[np.float32], near: NDArray[np.float32], reach: int
) -> float:
    outline = _outline(mask)
    if not outline.any():
        return 0.0
    inside = cv2.erode(mask.astype(np.uint8), _square(reach + 1)) > 0
    crossed = float(edges[inside].mean()) if inside.any() else 1.0
    return float(near[outline].mean()) * (1.0 - crossed)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that touch others; beyond the image's rim, there is more of the mask."""
    outline: NDArray[np.bool_] = mask & (cv2.erode(mask.astype(np.uint8), _square(1)) == 0)
    return outline


def _square(reach: int) -> NDArray[np.uint8]:
    return np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
