"""Masks that overlap become one (Sec. 3.5, Alg. 4 line 5)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trace_mm.ops.mask_splitting import check_masks


def merge_masks(masks: Tensor, iou: float = 0.5) -> Tensor:
    """Unite masks whose intersection over union exceeds a limit, until no two are left.

    Args:
        masks: bool (K, H, W).
        iou: the limit, in [0, 1].

    Returns:
        bool (G, H, W), G <= K. Which masks there are does not depend on the order of the input.

    Raises:
        ValueError: if the masks are not bool (K, H, W).

    Examples:
        >>> import torch
        >>> masks = torch.tensor([[[1, 1, 1, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 1]]]).bool()
        >>> merge_masks(masks).int().tolist()
        [[[1, 1, 1, 0]], [[0, 0, 0, 1]]]
    """
    groups = merge_groups(masks, iou)
    count = int(groups.max()) + 1 if len(groups) else 0
    return (
        torch.stack([masks[groups == group].any(0) for group in range(count)]) if count else masks
    )


def merge_groups(masks: Tensor, iou: float = 0.5) -> Tensor:
    """Which masks :func:`merge_masks` unites.

    The two masks that overlap most are united first; what they become is compared with all others
    again. Among equal overlaps the content of the masks decides, not their order.

    Args:
        masks: bool (K, H, W).
        iou: the limit, in [0, 1].

    Returns:
        The number of each mask's group, int64 (K,), from 0, by the first mask of each.

    Raises:
        ValueError: if the masks are not bool (K, H, W), or the limit is out of range.

    Examples:
        >>> import torch
        >>> masks = torch.tensor([[[1, 1, 1, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 1]]]).bool()
        >>> merge_groups(masks).tolist()
        [0, 0, 1]
    """
    check_masks(masks)
    if not 0 <= iou <= 1:
        raise ValueError(f"the IoU must be in [0, 1], got {iou}")
    flat = masks.flatten(1).cpu().numpy().copy()  # (K, N), of our own to unite in
    members = [[index] for index in range(len(flat))]
    overlaps = np.triu(mask_ious(flat, flat), 1)  # (G, G)
    while overlaps.size and overlaps.max() > iou:
        first, second = _closest(overlaps, flat)
        members[first] += members.pop(second)
        flat[first] |= flat[second]
        flat = np.delete(flat, second, 0)
        overlaps = np.delete(np.delete(overlaps, second, 0), second, 1)
        united = mask_ious(flat[first : first + 1], flat)[0]  # (G,)
        overlaps[first, first + 1 :] = united[first + 1 :]
        overlaps[:first, first] = united[:first]
    groups = torch.zeros(len(masks), dtype=torch.int64)
    for number, group in enumerate(members):
        groups[group] = number
    return groups.to(masks.device)


def mask_ious(masks: NDArray[np.bool_], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of each of masks (K, N) with each of others (L, N); 0 of nothing.

    Returns:
        float64 (K, L).

    Examples:
        >>> import numpy as np
        >>> masks = np.array([[True, True, False]])
        >>> mask_ious(masks, np.array([[True, False, False], [False, False, True]])).tolist()
        [[0.5, 0.0]]
    """
    shared = masks.astype(np.float32) @ others.T.astype(np.float32)  # exact below 2^24 pixels
    united = masks.sum(1)[:, None] + others.sum(1) - shared.astype(np.float64)
    return np.divide(shared, united, out=np.zeros(united.shape), where=united > 0)


def _closest(overlaps: NDArray[np.float64], flat: NDArray[np.bool_]) -> tuple[int, int]:
    """The pair (i, j), i < j, of the largest overlap; of several, the first by content."""
    pairs = np.argwhere(overlaps == overlaps.max())  # (P, 2)
    if len(pairs) == 1:
        return int(pairs[0, 0]), int(pairs[0, 1])
    content = {index: np.packbits(flat[index]).tobytes() for index in np.unique(pairs)}
    first, second = min(pairs.tolist(), key=lambda pair: sorted(content[index] for index in pair))
    return first, second
