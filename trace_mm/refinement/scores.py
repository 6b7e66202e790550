"""Scores of masks: the source's, by edges, or none."""

import numpy as np
from numpy.typing import NDArray

from trace_mm.refinement.instances import InstanceMasks
from trace_mm.refinement.outlines import outline_scores

BY_EDGES = "outline"
SCORES = ("source", "constant", BY_EDGES)
"""Where the scores of masks come from; see :func:`scored`."""


def check_scores(scores: str) -> None:
    """Refuse an unknown kind of scores.

    Raises:
        ValueError: if it is none of :data:`SCORES`.
    """
    if scores not in SCORES:
        raise ValueError(f"scores must be one of {', '.join(SCORES)}, got {scores!r}")


def ranked(instances: InstanceMasks) -> list[int]:
    """The indices of masks by falling score; of equal scores by falling area, then by content."""
    scores = np.ones(len(instances)) if instances.scores is None else instances.scores
    masks = instances.masks
    return sorted(
        range(len(instances)),
        key=lambda index: (-scores[index], -masks[index].sum(), masks[index].tobytes()),
    )


def scored(
    instances: InstanceMasks, edges: NDArray[np.float32] | None, scores: str = "source"
) -> InstanceMasks:
    """The same masks, in the same order, with a score each.

    Args:
        instances: masks at the image's size (H, W).
        edges: (H, W) in [0, 1]; only "outline" reads them, and others may have None.
        scores: "source" for the masks' own scores, 1 where they have none; "constant" for 1;
            "outline" for :func:`trace_mm.refinement.outline_scores`.

    Raises:
        ValueError: if there are no such scores, or they are by edges and there are none.
    """
    check_scores(scores)
    if scores == "source" and instances.scores is not None:
        return instances
    values = np.ones(len(instances), dtype=np.float64)
    if scores == BY_EDGES:
        if edges is None:
            raise ValueError(f"scores {scores!r} need edges")
        values = outline_scores(instances.masks, edges)
    return InstanceMasks(instances.masks, instances.labels, values)
