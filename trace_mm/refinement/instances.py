"""The masks of one image, as they go from a reader to a post-processor to a file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InstanceMasks:
    """Masks of one image.

    Attributes:
        masks: bool (K, H, W), at the image's own size; they may overlap.
        labels: int64 (K,), category ids as the source has them; 1 where it has no classes.
        scores: float64 (K,), or None where the source has no scores.
    """

    masks: NDArray[np.bool_]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            ValueError: if shapes or types do not fit.
        """
        count = len(self.masks)
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_:
            raise ValueError(
                f"masks must be bool (K, H, W), got {self.masks.dtype} {self.masks.shape}"
            )
        if self.labels.shape != (count,):
            raise ValueError(f"there are {count} masks, but labels {self.labels.shape}")
        if self.scores is not None and self.scores.shape != (count,):
            raise ValueError(f"there are {count} masks, but scores {self.scores.shape}")

    def __len__(self) -> int:
        return len(self.masks)

    def select(self, indices: Sequence[int]) -> "InstanceMasks":
        """The masks of these indices, in their order."""
        chosen = np.array(indices, dtype=np.int64)
        scores = None if self.scores is None else self.scores[chosen]
        return InstanceMasks(self.masks[chosen], self.labels[chosen], scores)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.masks.shape[1], self.masks.shape[2]
