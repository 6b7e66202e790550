"""Texture fields: what covers an object or the background, as values in [-1, 1]."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]  # (H, W)


def _axes(
    height: int, width: int, angle: float, period: float, phase: NDArray[np.float64]
) -> tuple[Field, Field]:
    """Coordinates along and across ``angle``, in radians of ``period`` pixels."""
    frequency = 2.0 * np.pi / period
    x = np.arange(width, dtype=np.float32)[None, :] * frequency
    y = np.arange(height, dtype=np.float32)[:, None] * frequency
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = cosine * x + sine * y + np.float32(phase[0])
    across = cosine * y - sine * x + np.float32(phase[1])
    return along, across


def _smooth_noise(rng: np.random.Generator, height: int, width: int, grain: float) -> Field:
    """Gaussian noise whose correlation length is ``grain`` pixels."""
    rows, columns = int(height / grain) + 3, int(width / grain) + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine, dtype=np.float32)


def plain(rng: np.random.Generator, height: int, width: int, period: float) -> Field:
    """No texture."""
    return np.zeros((height, width), dtype=np.float32)


def stripes(rng: np.random.Generator, height: int, width: int, period: float) -> Field:
    """Stripes in a random direction with soft or hard flanks."""
    along, _ = _axes(height, width, rng.uniform(0, np.pi), period, rng.uniform(0, 6.28, 2))
    return np.clip(np.sin(along) * rng.uniform(1.0, 4.0), -1.0, 1.0).astype(np.float32)


def checks(rng: np.random.Generator, height: int, width: int, period: float) -> Field:
    """A chess board in a random direction."""
    along, across = _axes(height, width, rng.uniform(0, np.pi), period, rng.uniform(0, 6.28, 2))
    return np.clip(np.sin(along) * np.sin(across) * 4.0, -1.0, 1.0).astype(np.float32)


def noise(rng: np.random.Generator, height: int, width: int, period: float) -> Field:
    """Grains a quarter of ``period`` wide."""
    return np.clip(_smooth_noise(rng, height, width, max(1.0, period / 4)) * 0.7, -1.0, 1.0)


def gradient(rng: np.random.Generator, height: int, width: int, period: float) -> Field:
    """A linear ramp over the whole field."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return np.clip(x + y, -1.0, 1.0)


def blobs(rng: np.random.Generator, height: int, width: int, period: float) -> Field:
    """Irregular spots about half of ``period`` wide."""
    return np.clip(_smooth_noise(rng, height, width, max(1.5, period / 2)) * 4.0, -1.0, 1.0)


TEXTURES: dict[str, Callable[[np.random.Generator, int, int, float], Field]] = {
    "plain": plain,
    "stripes": stripes,
    "checks": checks,
    "noise": noise,
    "gradient": gradient,
    "blobs": blobs,
}
"""Textures by name; each maps (rng, height, width, period in pixels) to a field."""
