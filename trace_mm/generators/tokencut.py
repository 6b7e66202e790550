"""TokenCut (Wang et al., CVPR 2022): one normalised cut, the most salient object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trace_mm.generators.maskcut import cut_foreground
from trace_mm.generators.patch_masks import (
    PatchMasks,
    check_features,
    separation,
    two_sided,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TokenCutSettings:
    """Settings of TokenCut; the defaults are the paper's (Sec. 3.2 and 4).

    Attributes:
        threshold: tau, the cosine similarity above which two patches are joined.
        eps: affinity of patches that are not joined.
    """

    threshold: float = 0.2
    eps: float = 1e-5


def tokencut(features: Tensor, settings: TokenCutSettings | None = None) -> PatchMasks:
    """The mask of one image: the part around the patch with the eigenvector's largest magnitude.

    There is none where all patches are alike, and so no cut is better than another.

    Args:
        features: (h, w, C).
        settings: see :class:`TokenCutSettings`.

    Raises:
        ValueError: if the shape is wrong or a feature is not finite.
    """
    settings = settings or TokenCutSettings()
    unit = check_features(features)
    everywhere = np.ones(tuple(features.shape[:2]), dtype=bool)
    found = cut_foreground(unit, everywhere, settings.threshold, settings.eps, corners=None)
    if found is None:
        return PatchMasks(np.empty((0, *everywhere.shape), dtype=np.float32), np.empty(0))
    mask, margin = found
    return PatchMasks(two_sided(margin, mask)[None], np.array([separation(unit, mask)]))
