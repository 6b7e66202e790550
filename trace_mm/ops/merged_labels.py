"""Which masks a detector learns from in its next round: its own sure ones, and old ones beside."""

import numpy as np
from numpy.typing import NDArray


def merged_labels(
    scores: NDArray[np.floating],
    overlaps: NDArray[np.floating],
    min_score: float = 0.7,
    max_overlap: float = 0.5,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose among a detector's masks and the ones it has learned from, as CutLER does.

    The detector's masks are kept from a score on; of the old ones those are that none of these
    overlaps, so that what the detector does not find is not forgotten.

    Args:
        scores: (P,) of the detector's masks.
        overlaps: (P, L), IoU of each of these with each old mask.
        min_score: the least score that is kept.
        max_overlap: an old mask goes if a kept one has this IoU with it, or more.

    Returns:
        Which of the detector's masks are kept, bool (P,), and which old ones, bool (L,).

    Raises:
        ValueError: if the shapes do not fit.

    Examples:
        >>> import numpy as np
        >>> kept, old = merged_labels(np.array([0.9, 0.3]), np.array([[0.8, 0.0], [0.0, 0.9]]))
        >>> kept.tolist(), old.tolist()
        ([True, False], [False, True])
    """
    if overlaps.ndim != 2 or scores.shape != overlaps.shape[:1]:
        raise ValueError(f"scores {scores.shape} do not fit overlaps {overlaps.shape}")
    predicted = scores >= min_score
    old = overlaps[predicted].max(0, initial=0) < max_overlap
    return predicted, old
