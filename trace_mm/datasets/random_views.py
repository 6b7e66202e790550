"""Parts of images at random sizes: what a model is trained on that meets objects of all sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trace_mm.lazy import lazy_module

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import functional
else:
    functional = lazy_module("torch.nn.functional")


@dataclass(frozen=True)
class RandomViews:
    """Cuts a square out of an image that was first resized by chance.

    Attributes:
        crop: side in pixels of the square.
        sides: least and largest size of the image, as the side in pixels of the square of the same
            area; drawn evenly on a logarithmic scale. The aspect ratio is kept. An image is never
            made smaller than the crop.

    Raises:
        ValueError: if a side is not positive, or they are not in order.
    """

    crop: int
    sides: Sequence[float]

    def __post_init__(self) -> None:
        if self.crop < 1:
            raise ValueError(f"the side of a crop must be at least 1 pixel, got {self.crop}")
        if len(self.sides) != 2 or not 0 < self.sides[0] <= self.sides[1]:
            raise ValueError(f"sides must be the least and the largest, above 0, got {self.sides}")

    def cut(
        self, image: Tensor, edges: Tensor | None, chance: np.random.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """A random part of an image, and the same part of its edges.

        Args:
            image: float (3, H, W) in [0, 1].
            edges: float (h, w) in [0, 1] of the whole image, on any grid; None for none.
            chance: decides on size and place; the same state gives the same part.

        Returns:
            float32 (3, crop, crop) in [0, 1], and edges float32 (crop, crop) in [0, 1] or None.
        """
        height, width = image.shape[1:]
        low, high = np.log(self.sides)
        scale = float(np.exp(chance.uniform(low, high))) / (height * width) ** 0.5
        scale = max(scale, self.crop / min(height, width))
        size = [max(self.crop, round(length * scale)) for length in (height, width)]
        top, left = (int(chance.integers(length - self.crop + 1)) for length in size)

        def part(maps: Tensor) -> Tensor:  # (C, h, w) to (C, crop, crop)
            resized = functional.interpolate(
                maps[None].float(), size, mode="bicubic", antialias=True
            )
            inside = resized[0, :, top : top + self.crop, left : left + self.crop]
            return inside.clamp(0, 1).contiguous()

        return part(image), None if edges is None else part(edges[None])[0]
