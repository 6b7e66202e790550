"""Images, coordinates and masks in the square that a promptable model sees, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_SURE = 8.0  # logit of what a mask prompt holds; minus it outside


@dataclass(frozen=True)
class Normalization:
    """How a model wants its images, as its preprocessor's file says.

    Attributes:
        side: of the square in pixels.
        keeps_shape: whether the longer side fills the square and the rest is padded below or on the
            right, as for SAM; else the image is squeezed into the square, as for SAM 2 and 3.
        mean: of the three colours.
        std: likewise.
    """

    side: int
    keeps_shape: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, settings: Mapping[str, Any], name: str) -> "Normalization":
        """Out of the settings of an image processor of transformers.

        Args:
            settings: as its file has them.
            name: what messages call the model.

        Raises:
            ValueError: if it does not say how large images are to be, or wants no square.
        """
        size = settings.get("size")
        try:
            if isinstance(size, Mapping) and size.get("longest_edge"):
                side, keeps_shape = int(size["longest_edge"]), True
            elif isinstance(size, Mapping) and size["height"] == size["width"]:
                side, keeps_shape = int(size["height"]), False
            else:
                raise KeyError
            mean, std = (tuple(settings[key]) for key in ("image_mean", "image_std"))
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{name}: its preprocessor's settings say no square size with mean and standard "
                f"deviation of colours: {size!r}"
            ) from None
        return cls(side, keeps_shape, mean, std)


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the square.

    Attributes:
        size: (H, W) of the image.
        inner: (h, w) that it has in the square, at the upper left.
        side: of the square.
    """

    size: tuple[int, int]
    inner: tuple[int, int]
    side: int

    @classmethod
    def fit(cls, size: tuple[int, int], how: Normalization) -> "Frame":
        """The place of an image of a size (H, W)."""
        if not how.keeps_shape:
            return cls(size, (how.side, how.side), how.side)
        scale = how.side / max(size)
        height, width = (max(int(one * scale + 0.5), 1) for one in size)
        return cls(size, (height, width), how.side)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates (..., 2), x and y, or boxes (..., 4), in pixels of the square."""
        (height, width), (h, w) = self.size, self.inner
        scale = np.array([w / width, h / height] * (points.shape[-1] // 2))
        return points * scale

    def image(self, pixels: NDArray[np.float32], how: Normalization) -> Tensor:
        """The square (1, 3, side, side) of an image (H, W, 3) in [0, 1]."""
        image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()
        image = functional.interpolate(
            image, self.inner, mode="bilinear", align_corners=False, antialias=True
        )
        mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (how.mean, how.std))
        return self._padded((image - mean) / std, self.side, 0.0)

    def mask_prompts(self, masks: NDArray[np.bool_], side: int) -> Tensor:
        """Masks (K, H, W) as logits (K, 1, side, side), of a side that the model wants."""
        height, width = (max(round(one * side / self.side), 1) for one in self.inner)
        shares = torch.from_numpy(masks[:, None]).float()  # (K, 1, H, W)
        shares = functional.interpolate(
            shares, (height, width), mode="bilinear", align_corners=False, antialias=True
        )
        return self._padded((2 * shares - 1) * _SURE, side, -_SURE)

    def masks(self, logits: Tensor) -> NDArray[np.bool_]:
        """Masks (K, H, W) of the image from logits (K, h', w') of the square."""
        square = (self.side, self.side)
        large = functional.interpolate(
            logits[:, None].float(), square, mode="bilinear", align_corners=False
        )
        large = large[..., : self.inner[0], : self.inner[1]]
        large = functional.interpolate(large, self.size, mode="bilinear", align_corners=False)
        found: NDArray[np.bool_] = (large[:, 0] > 0).cpu().numpy()
        return found

    @staticmethod
    def _padded(values: Tensor, side: int, value: float) -> Tensor:
        height, width = values.shape[-2:]
        return functional.pad(values, (0, side - width, 0, side - height), value=value)
