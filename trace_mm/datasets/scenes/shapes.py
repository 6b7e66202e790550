"""Outlines of the shape classes, as closed polygons of unit radius around the origin."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]  # (P, 2) as x, y

_CURVE_POINTS = 48


def _angles(count: int) -> NDArray[np.float64]:
    return np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)


def _polar(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> Polygon:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def disc(rng: np.random.Generator) -> Polygon:
    """An ellipse with an axis ratio between 0.6 and 1."""
    return _polar(np.ones(_CURVE_POINTS), _angles(_CURVE_POINTS)) * (1.0, rng.uniform(0.6, 1.0))


def box(rng: np.random.Generator) -> Polygon:
    """A rectangle with an aspect ratio between 0.5 and 1."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)
    return corners * (0.8, 0.8 * rng.uniform(0.5, 1.0))


def triangle(rng: np.random.Generator) -> Polygon:
    """A triangle with unequal sides."""
    return _polar(np.ones(3), _angles(3) + rng.uniform(-0.3, 0.3, 3))


def star(rng: np.random.Generator) -> Polygon:
    """A star with five to seven points."""
    points = int(rng.integers(5, 8))
    radius = np.ones(2 * points)
    radius[1::2] = rng.uniform(0.45, 0.65)
    return _polar(radius, _angles(2 * points))


def cross(rng: np.random.Generator) -> Polygon:
    """A plus sign with arms of random width."""
    arm = rng.uniform(0.28, 0.45)
    corner = np.array([[arm, 1.0], [arm, arm], [1.0, arm]])
    turns = ((1, 0), (0, -1), (-1, 0), (0, 1))  # cosine, sine of a quarter turn each, clockwise
    return np.concatenate([corner @ np.array([[c, s], [-s, c]]) for c, s in turns])


def blob(rng: np.random.Generator) -> Polygon:
    """A smooth closed curve of a few random harmonics."""
    angle = _angles(_CURVE_POINTS)
    radius = np.full(_CURVE_POINTS, 0.8)
    for harmonic in range(2, 6):
        amplitude, phase = rng.uniform(0.0, 0.35 / harmonic), rng.uniform(0.0, 2.0 * np.pi)
        radius += amplitude * np.cos(harmonic * angle + phase)
    return _polar(radius, angle)


def crescent(rng: np.random.Generator) -> Polygon:
    """A moon: a disc less a shifted disc."""
    outer = np.linspace(0.35 * np.pi, 1.65 * np.pi, _CURVE_POINTS // 2)
    tip = np.cos(outer[0]), np.sin(outer[0])
    depth = rng.uniform(-0.25, 0.05)
    inner = np.linspace(1.0, -1.0, _CURVE_POINTS // 2)[1:-1]
    bow = depth + (tip[0] - depth) * inner**2
    moon = np.concatenate([_polar(np.ones(len(outer)), outer), np.stack([bow, -tip[1] * inner], 1)])
    return moon + (0.3, 0.0)


def capsule(rng: np.random.Generator) -> Polygon:
    """A rod with round ends."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, _CURVE_POINTS // 2)
    radius = rng.uniform(0.3, 0.45)
    end = _polar(np.full(len(angle), radius), angle) + (1.0 - radius, 0.0)
    return np.concatenate([end, -end])


SHAPES: dict[str, Callable[[np.random.Generator], Polygon]] = {
    "disc": disc,
    "box": box,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "blob": blob,
    "crescent": crescent,
    "capsule": capsule,
}
"""Shape classes by name; the order gives the class ids 1 to 8 of every export."""

SHAPE_CLASSES = tuple(SHAPES)
