"""Class masks as methods that learn from image tags make them, simulated from true ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 128  # lengths below are for an image of so many pixels
_BLUR = 3.0
_NOISE, _NOISE_GRID = 0.12, 8
_LEVEL = 0.58  # above a half, so that masks are eroded
_HOLES, _HOLE_AXES = 2.0, (2.0, 6.0)


def degrade_classes(
    ids: NDArray[np.int32], background: int, seed: int, index: int, void: int = 255
) -> NDArray[np.int32]:
    """Wear down the class masks of an image, as class activation maps know them.

    Each class but the background becomes an activation: its mask, blurred (sigma 3 pixels), with
    smooth noise (standard deviation 0.12, on a grid of 8 x 8) and elliptic holes (2 on average,
    half axes of 2 to 6 pixels). A pixel has the class with the strongest activation, if that is
    above 0.58, else it is background. All lengths are for images of 128 pixels and grow with the
    image's shorter side.

    Args:
        ids: (H, W), the class of each pixel.
        background: what is no object.
        seed: of the series.
        index: of the image in it; the same seed and index give the same result.
        void: stays as it is.

    Returns:
        (H, W).
    """
    rng = np.random.default_rng((seed, index))
    scale = min(ids.shape) / _SIDE
    degraded = np.full(ids.shape, background, dtype=np.int32)
    strongest = np.full(ids.shape, _LEVEL, dtype=np.float32)
    for number in np.unique(ids[(ids != background) & (ids != void)]).tolist():
        activation = _activation(ids == number, scale, rng)
        wins = activation > strongest
        degraded[wins], strongest[wins] = number, activation[wins]
    degraded[ids == void] = void
    return degraded


def _activation(
    mask: NDArray[np.bool_], scale: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """How sure a classifier is of each pixel, (H, W)."""
    height, width = mask.shape
    coarse = rng.normal(0, _NOISE, (_NOISE_GRID, _NOISE_GRID)).astype(np.float32)
    noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    activation = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _BLUR * scale) + noise
    pixels = np.argwhere(mask)
    for _ in range(rng.poisson(_HOLES)):
        row, column = pixels[rng.integers(len(pixels))].tolist()
        axes = [round(float(axis) * scale) for axis in rng.uniform(*_HOLE_AXES, 2)]
        cv2.ellipse(activation, (column, row), axes, rng.uniform(0, 180), 0, 360, 0.0, -1)
    return np.asarray(activation, dtype=np.float32)
