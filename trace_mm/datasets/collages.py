"""Collages: cut-out parts of photos on a photo, with borders that are known without any annotation.

Parts of unknown content lie side by side, so a border is where what is seen changes, and texture is
what goes on. The borders between the objects of a part itself are not known. Every collage is a
pure function of the photos and (seed, index, size).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.ground_truth import instance_borders
from trace_mm.datasets.scenes.shapes import SHAPE_CLASSES, SHAPES, Polygon
from trace_mm.datasets.scenes.textures import Field

_SUBPIXEL_BITS = 4
_LEAST_AREA = 0.0023  # of the collage; a smaller part is left out
_RADII = (0.055, 0.35)  # of parts, as shares of the side
_SCALES = (0.35, 1.6)  # pixels of a collage for one of a photo
_WAVY_ODDS = 0.65  # how often a part's outline is none of the scenes' shapes
_WAVY_POINTS = 64


@dataclass(frozen=True)
class Collage:
    """An image and its known borders.

    Attributes:
        image: uint8 (S, S, 3) RGB.
        borders: bool (S, S), one pixel thin, between the parts.
    """

    image: NDArray[np.uint8]
    borders: NDArray[np.bool_]


def render_collage(
    read: Callable[[int], Field], photos: int, seed: int, index: int, size: int
) -> Collage:
    """Collage ``index`` of the series ``seed``.

    Args:
        read: gives photo i as float32 (H, W, 3) in [0, 1].
        photos: how many there are.
        seed: names the series; not negative.
        index: names the collage within the series; not negative.
        size: side in pixels S, at least 32.

    Returns:
        The collage, of 4 to 11 parts on a photo.

    Raises:
        ValueError: if there is no photo, or a number is out of range.
    """
    if photos < 1 or size < 32 or min(seed, index) < 0:
        raise ValueError(
            "a collage needs a photo, at least 32 pixels a side, and no negative seed or index, "
            f"got {photos}, {size}, {seed} and {index}"
        )
    rng = np.random.default_rng([seed, index])
    canvas = _part_of_photo(rng, read(int(rng.integers(photos))), size)
    ids = np.zeros((size, size), dtype=np.int32)
    for number in range(1, int(rng.integers(4, 12)) + 1):
        coverage = _coverage(rng, size)
        inside = coverage >= 0.5
        if np.count_nonzero(inside) < _LEAST_AREA * size**2:
            continue
        surface = _part_of_photo(rng, read(int(rng.integers(photos))), size)
        _paste(rng, canvas, surface, coverage)
        ids[inside] = number
    return Collage(_expose(rng, canvas), instance_borders(ids))


def _part_of_photo(rng: np.random.Generator, photo: Field, size: int) -> Field:
    """A random part of a photo, at a random scale, mirrored half of the time; (S, S, 3)."""
    scale = float(np.exp(rng.uniform(*np.log(_SCALES))))
    side = max(4, min(round(size / scale), *photo.shape[:2]))
    top, left = (int(rng.integers(length - side + 1)) for length in photo.shape[:2])
    part = photo[top : top + side, left : left + side]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    shown = cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=way)
    light, tint = np.exp(rng.normal(0, 0.15)), rng.normal(0, 0.03, 3)
    return np.clip(shown * light + tint, 0, 1).astype(np.float32)


def _outline(rng: np.random.Generator) -> Polygon:
    """An outline of about unit radius: a wavy one, or a shape of the scenes."""
    if rng.random() >= _WAVY_ODDS:
        return SHAPES[str(rng.choice(SHAPE_CLASSES))](rng)
    angle = np.linspace(0, 2 * np.pi, _WAVY_POINTS, endpoint=False)
    radius = np.ones(_WAVY_POINTS)
    for harmonic in range(2, 8):
        wave = np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
        radius += rng.normal(0, 0.35 / harmonic) * wave
    radius = np.clip(radius, 0.25, 2)
    stretch = np.exp(rng.normal(0, 0.4) / 2)
    return np.stack([radius * np.cos(angle) * stretch, radius * np.sin(angle) / stretch], axis=1)


def _coverage(rng: np.random.Generator, size: int) -> Field:
    """How much of each pixel a new part covers, (S, S) in [0, 1]; its rim may be soft."""
    radius = float(np.exp(rng.uniform(*np.log(_RADII)))) * size
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = _outline(rng) * radius @ turn + rng.uniform(0, size, 2)
    coverage = np.zeros((size, size), dtype=np.uint8)
    corners = np.round(points * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(coverage, [corners], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    soft = coverage.astype(np.float32) / np.float32(255)
    if rng.random() < 0.6:
        soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), rng.uniform(0.4, 1.6)), dtype=np.float32)
    return soft


def _paste(rng: np.random.Generator, canvas: Field, surface: Field, coverage: Field) -> None:
    """Put a surface (S, S, 3) on the canvas where it covers it, at times with shadow or shading."""
    if rng.random() < 0.3:
        shift = tuple(int(step) for step in rng.integers(-5, 6, 2))
        blur = rng.uniform(1.5, 5)
        shadow = cv2.GaussianBlur(np.roll(coverage, shift, (0, 1)), (0, 0), blur)
        canvas *= 1 - np.float32(rng.uniform(0.1, 0.5)) * shadow[:, :, None]
    if rng.random() < 0.3:
        depth = cv2.distanceTransform((coverage >= 0.5).view(np.uint8), cv2.DIST_L2, 3)
        rim = (1 - np.minimum(depth / max(0.5 * float(depth.max()), 1), 1)) ** 2
        surface = surface * (1 - np.float32(rng.uniform(0.1, 0.5)) * rim)[:, :, None]
    canvas += coverage[:, :, None] * (surface - canvas)


def _expose(rng: np.random.Generator, canvas: Field) -> NDArray[np.uint8]:
    """Blur, noise and the traces of JPEG, as over the whole of a photo."""
    blur = rng.uniform(0, 1)
    if blur > 0.4:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), blur), dtype=np.float32)
    grain = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.02))
    image = (np.clip(canvas + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(60, 96))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return image
