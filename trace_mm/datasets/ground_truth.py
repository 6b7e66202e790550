"""True edges from annotations: borders between the segments of any instance or panoptic map."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from trace_mm.ops.thinning import thin


def instance_borders(ids: np.ndarray, void: int | None = None) -> np.ndarray:
    """Borders between distinct segments, one pixel thin (paper, App. F).

    A pixel is on a border if its right or lower neighbour has another id, so that the border runs
    on the left and upper side of where segments meet, half a pixel from the exact border (BSDS does
    the same, with the lower right neighbour as well, which moves diagonal borders further away).
    Thinning then leaves 8-connected lines. The image's own rim is no border.

    Args:
        ids: segment ids (H, W) of any integer type; background is a segment like any other.
        void: id of unlabelled pixels, whose borders do not count; None if there is none.

    Returns:
        bool (H, W).

    Raises:
        ValueError: if the map is not two-dimensional.
    """
    ids = np.asarray(ids)
    if ids.ndim != 2:
        raise ValueError(f"an id map has two dimensions, got shape {ids.shape}")
    borders = np.zeros(ids.shape, dtype=bool)
    for down, right in ((0, 1), (1, 0)):
        here = ids[: ids.shape[0] - down, : ids.shape[1] - right]
        there = ids[down:, right:]
        differs = here != there
        if void is not None:
            differs &= (here != void) & (there != void)
        borders[: here.shape[0], : here.shape[1]] |= differs
    return thin(borders)


def layer_masks(masks: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """One id map out of masks that may overlap: the smaller mask is in front.

    Where masks overlap, a panoptic map can show one only; in COCO the smaller one is usually in
    front, or both are annotations of a shared border that would otherwise be counted twice.

    Args:
        masks: bool (H, W) each, in any order; of equally large ones the later is in front.
        size: (H, W), needed if there is no mask.

    Returns:
        int32 (H, W), 0 for background and i + 1 for mask i.
    """
    ids = np.zeros(size, dtype=np.int32)
    areas = np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)
    for index in np.argsort(-areas, kind="stable"):
        ids[masks[index]] = index + 1
    return ids


def layer_instances(
    masks: Sequence[np.ndarray], crowds: Sequence[bool], size: tuple[int, int]
) -> np.ndarray:
    """One id map out of one image's instances, and of its crowds, which are behind all of them.

    Args:
        masks: bool (H, W) each; see :func:`layer_masks`.
        crowds: whether each is a crowd. Its members' borders towards each other are unknown.
        size: (H, W) of the image.

    Returns:
        int32 (H, W), 0 for background; instances count from 1, and crowds go on after them.
    """
    instances = [mask for mask, crowd in zip(masks, crowds, strict=True) if not crowd]
    others = [mask for mask, crowd in zip(masks, crowds, strict=True) if crowd]
    back, front = layer_masks(others, size), layer_masks(instances, size)
    return np.where(front > 0, front, np.where(back > 0, back + len(instances), 0)).astype(np.int32)


def read_bsds_borders(path: str | Path) -> np.ndarray:
    """Every annotator's borders in a ``groundTruth`` file of BSDS500.

    Args:
        path: the ``.mat`` file.

    Returns:
        bool (A, H, W).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a MATLAB file with the field ``groundTruth``.
    """
    try:
        content = scipy.io.loadmat(str(path), appendmat=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such ground truth") from None
    except (ValueError, TypeError, NotImplementedError, MatReadError, OSError) as error:
        raise ValueError(f"{path}: not a readable MATLAB file: {error}") from error
    if "groundTruth" not in content:
        raise ValueError(f"{path}: no field groundTruth, only {sorted(content)}")
    annotators = content["groundTruth"].ravel()
    return np.stack([annotator["Boundaries"][0, 0] != 0 for annotator in annotators])
