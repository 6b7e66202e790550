"""Objects of one image pasted onto another, as CutLER trains with (Wang et al., CVPR 2023)."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Pasted(NamedTuple):
    """An image with objects of another one.

    Attributes:
        image: (H, W, 3), of the type that it was of.
        masks: bool (K, H, W): the image's own masks as far as they are still seen, then the pasted.
        own: int64, which of its own masks these are.
        pasted: int64, which of the other's objects these are.
    """

    image: NDArray[Any]
    masks: NDArray[np.bool_]
    own: NDArray[np.int64]
    pasted: NDArray[np.int64]


def placed(
    image: NDArray[Any],
    masks: NDArray[np.bool_],
    canvas: tuple[int, int],
    size: tuple[int, int],
    corner: tuple[int, int],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """An image and its masks at another size, somewhere on an empty canvas.

    Args:
        image: (H, W, 3), uint8 or float32.
        masks: bool (K, H, W).
        canvas: (H', W') of the result.
        size: (h, w) that the image is brought to, bilinearly; its sides may change in ratio.
        corner: (top, left) on the canvas.

    Returns:
        (H', W', 3) of the same type, and bool (K, H', W').

    Raises:
        ValueError: if that would reach out of the canvas.
    """
    (height, width), (top, left) = size, corner
    if min(*size, top + 1, left + 1) < 1 or top + height > canvas[0] or left + width > canvas[1]:
        raise ValueError(f"{size} at {corner} reaches out of a canvas of {canvas}, all (H, W)")
    rows, columns = slice(top, top + height), slice(left, left + width)
    whole = np.zeros((*canvas, image.shape[2]), dtype=image.dtype)
    whole[rows, columns] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    moved = np.zeros((len(masks), *canvas), dtype=bool)
    for mask, target in zip(masks, moved, strict=True):
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        target[rows, columns] = small >= 0.5
    return whole, moved


def paste_objects(
    image: NDArray[Any],
    masks: NDArray[np.bool_],
    other: NDArray[Any],
    objects: NDArray[np.bool_],
    max_hidden: float = 0.5,
) -> Pasted:
    """Paste objects of an image onto another one of the same size.

    An object that would hide ``max_hidden`` of a mask, or more, is left out. What the others hide
    is taken from the masks; those that nothing is left of are gone.

    Args:
        image: (H, W, 3) that is pasted onto; it stays as it is.
        masks: bool (N, H, W), its masks.
        other: (H, W, 3).
        objects: bool (K, H, W), masks of the other image; empty ones are left out.
        max_hidden: share of a mask's area, in (0, 1].

    Raises:
        ValueError: if the sizes differ.
    """
    if not image.shape[:2] == masks.shape[1:] == other.shape[:2] == objects.shape[1:]:
        shapes = [one.shape for one in (image, masks, other, objects)]
        raise ValueError(f"images and masks must be of one size (H, W), got {shapes}")
    pixels = image.shape[0] * image.shape[1]
    flat, pasted_flat = masks.reshape(-1, pixels), objects.reshape(-1, pixels)
    hidden = pasted_flat.astype(np.float32) @ flat.T.astype(np.float32)  # (K, N) pixels
    share = hidden / np.maximum(flat.sum(1), 1)  # (K, N)
    kept = pasted_flat.any(1) & (share.max(1, initial=0) < max_hidden)
    cover = objects[kept].any(0)  # (H, W)
    seen = masks & ~cover
    own = seen.any((1, 2))
    return Pasted(
        np.where(cover[:, :, None], other, image),
        np.concatenate([seen[own], objects[kept]]),
        np.flatnonzero(own),
        np.flatnonzero(kept),
    )
