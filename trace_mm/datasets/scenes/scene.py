"""Procedural scenes: objects of a few shape classes whose borders gradients cannot find.

Textures inside objects are often stronger than the step across the border between two objects, and
neighbours of one class share their look, so that only outline and shading tell them apart. Every
scene is a pure function of (seed, index, size).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trace_mm.datasets.scenes.shapes import SHAPE_CLASSES, SHAPES, Polygon
from trace_mm.datasets.scenes.textures import TEXTURES, Field

_SUBPIXEL_BITS = 4
_INSTANCE_COUNTS = (1, 2, 3, 4, 5, 6)
_INSTANCE_COUNT_ODDS = (0.05, 0.15, 0.2, 0.2, 0.2, 0.2)
_TEXTURE_NAMES = tuple(TEXTURES)
_TEXTURE_ODDS = (0.08, 0.24, 0.22, 0.16, 0.06, 0.24)
_NEIGHBOR_ODDS = 0.8  # how often a new object is put beside one of its class
_TWIN_ODDS = 0.75  # how often that neighbour shares its look
_LEAST_VISIBLE = 0.004  # part of the image; an object of which less shows is left out


@dataclass(frozen=True)
class Scene:
    """An image with its instances.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        instance_ids: int32 (H, W); 0 is background, instances are 1 to K without gaps.
        classes: int64 (K,); ``classes[i - 1]`` is the class of instance i, 1-based in the order
            of ``SHAPE_CLASSES``.
    """

    image: NDArray[np.uint8]
    instance_ids: NDArray[np.int32]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class _Look:
    """How a surface is painted: two colours, a texture between them, and shading."""

    dark: NDArray[np.float32]
    light: NDArray[np.float32]
    texture: str
    period: float
    rim: float  # how much darker the outline is than the middle
    ramp: float  # strength of the light falling across the object


@dataclass(frozen=True)
class _Placed:
    """An object before painting."""

    shape: int
    center: NDArray[np.float64]
    radius: float
    look: _Look


def render_scene(seed: int, index: int, size: tuple[int, int] = (128, 128)) -> Scene:
    """Render scene ``index`` of the series ``seed``.

    Args:
        seed: names the series; not negative.
        index: names the scene within the series; not negative.
        size: (H, W) in pixels, at least 16 each. Objects and textures scale with the short side.

    Returns:
        The scene.

    Raises:
        ValueError: if a side is under 16 pixels or a number is negative.
    """
    height, width = size
    if min(height, width) < 16:
        raise ValueError(f"a scene needs at least 16 pixels a side, got {height}x{width}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative, got {seed} and {index}")
    rng = np.random.default_rng([seed, index])
    unit = min(height, width) / 128.0
    canvas = _paint_background(rng, height, width, unit)
    instance_ids = np.zeros((height, width), dtype=np.int32)
    placed = _place_objects(rng, height, width, unit)
    for number, item in enumerate(placed, start=1):
        _paint_object(rng, canvas, instance_ids, item, number, unit)
    image = _expose(rng, canvas, unit)
    instance_ids, classes = _drop_hidden(instance_ids, placed)
    return Scene(image, instance_ids, classes)


def render_grid(seed: int, index: int, size: tuple[int, int], side: int) -> Scene:
    """An image of side x side scenes, so that its objects are small; scenes of one index are one
    image's, row by row.

    Args:
        seed: of the series.
        index: of the image; its scenes are those from ``index * side**2``.
        size: (H, W) of each scene.
        side: how many scenes are side by side, from 1.

    Returns:
        A scene of (side * H, side * W) pixels; its instances are numbered scene by scene.

    Raises:
        ValueError: if an argument is out of range.
    """
    if side < 1:
        raise ValueError(f"side must be at least 1, got {side}")
    first = index * side**2
    scenes = [render_scene(seed, first + number, size) for number in range(side**2)]
    ids, instances = [], 0
    for scene in scenes:
        ids.append(np.where(scene.instance_ids > 0, scene.instance_ids + instances, 0))
        instances += len(scene.classes)

    def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
        rows = [parts[start : start + side] for start in range(0, side**2, side)]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows])

    return Scene(
        joined([scene.image for scene in scenes]),
        joined(ids).astype(np.int32),
        np.concatenate([scene.classes for scene in scenes]),
    )


def _random_look(rng: np.random.Generator, unit: float) -> _Look:
    """A look whose two colours lie around a random middle colour."""
    middle = rng.uniform(0.25, 0.75, 3)
    swing = rng.normal(size=3)
    swing *= rng.uniform(0.12, 0.4) / np.abs(swing).max()
    return _Look(
        dark=(middle - swing).astype(np.float32),
        light=(middle + swing).astype(np.float32),
        texture=str(rng.choice(_TEXTURE_NAMES, p=_TEXTURE_ODDS)),
        period=float(rng.uniform(4.0, 13.0)) * unit,
        rim=float(rng.uniform(0.1, 0.5)),
        ramp=float(rng.uniform(0.0, 0.5)),
    )


def _twin_look(rng: np.random.Generator, look: _Look, unit: float) -> _Look:
    """The same look with a slight change of tint."""
    tint = rng.normal(0.0, 0.02, 3).astype(np.float32)
    return _Look(
        look.dark + tint, look.light + tint, look.texture, look.period, look.rim, look.ramp
    )


def _place_objects(rng: np.random.Generator, height: int, width: int, unit: float) -> list[_Placed]:
    """Choose classes, places and looks; neighbours of one class touch or overlap."""
    count = int(rng.choice(_INSTANCE_COUNTS, p=_INSTANCE_COUNT_ODDS))
    extent = np.array([width, height], dtype=np.float64)
    placed: list[_Placed] = []
    for _ in range(count):
        radius = float(rng.uniform(16.0, 36.0)) * unit
        center = rng.uniform(0.12, 0.88, 2) * extent
        shape = int(rng.integers(len(SHAPE_CLASSES)))
        look = _random_look(rng, unit)
        if placed and rng.random() < _NEIGHBOR_ODDS:
            other = placed[int(rng.integers(len(placed)))]
            shape, radius = other.shape, other.radius * float(rng.uniform(0.8, 1.2))
            angle, gap = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.95)
            step = gap * (radius + other.radius)
            center = other.center + step * np.array([np.cos(angle), np.sin(angle)])
            center = np.clip(center, 0.08 * extent, 0.92 * extent)
            if rng.random() < _TWIN_ODDS:
                look = _twin_look(rng, other.look, unit)
        placed.append(_Placed(shape, center, radius, look))
    return placed


def _outline(rng: np.random.Generator, item: _Placed) -> Polygon:
    """The object's polygon in pixels, turned at random."""
    polygon = SHAPES[SHAPE_CLASSES[item.shape]](rng) * item.radius
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    return polygon @ np.array([[cosine, sine], [-sine, cosine]]) + item.center


def _surface(rng: np.random.Generator, look: _Look, height: int, width: int) -> Field:
    """The textured surface, float32 (H, W, 3)."""
    field = TEXTURES[look.texture](rng, height, width, look.period)
    weight = (0.5 * field + 0.5)[:, :, None]
    return (look.dark + (look.light - look.dark) * weight).astype(np.float32)


def _paint_background(rng: np.random.Generator, height: int, width: int, unit: float) -> Field:
    return _surface(rng, _random_look(rng, unit), height, width)


def _paint_object(
    rng: np.random.Generator,
    canvas: Field,
    instance_ids: NDArray[np.int32],
    item: _Placed,
    number: int,
    unit: float,
) -> None:
    """Paint one object over the canvas (H, W, 3) and the ids (H, W), in place."""
    outline = _outline(rng, item)
    height, width = instance_ids.shape
    left, top = np.maximum(np.floor(outline.min(0)).astype(int) - 2, 0)
    right, bottom = np.minimum(np.ceil(outline.max(0)).astype(int) + 3, (width, height))
    window = np.s_[top:bottom, left:right]
    corners = np.round((outline - (left, top)) * 2**_SUBPIXEL_BITS).astype(np.int32)
    coverage = np.zeros((bottom - top, right - left), dtype=np.uint8)
    cv2.fillPoly(coverage, [corners], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    inside = coverage >= 128
    surface = _surface(rng, item.look, *inside.shape)
    surface *= _shading(rng, inside, item)[:, :, None]
    if rng.random() < 0.3:
        _cast_shadow(rng, canvas[window], coverage, unit)
    alpha = coverage[:, :, None].astype(np.float32) / 255.0
    canvas[window] += alpha * (surface - canvas[window])
    instance_ids[window][inside] = number


def _shading(rng: np.random.Generator, inside: NDArray[np.bool_], item: _Placed) -> Field:
    """Light across the object and a rim that is darker than its middle, (h, w) around 1."""
    depth = cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, 3)
    round_off = np.minimum(depth / (0.35 * item.radius), 1.0)
    rim = 1.0 - item.look.rim * (1.0 - round_off) ** 2
    angle = rng.uniform(0, 2 * np.pi)
    height, width = inside.shape
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return (rim * (1.0 + item.look.ramp * 0.6 * (x + y))).astype(np.float32)


def _cast_shadow(
    rng: np.random.Generator, canvas: Field, coverage: NDArray[np.uint8], unit: float
) -> None:
    """Darken what lies behind the object, on one side of it."""
    shift = rng.normal(0.0, 2.0 * unit, 2)
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]], dtype=np.float32)
    moved = cv2.warpAffine(coverage, matrix, coverage.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), 1.5 * unit).astype(np.float32) / 255.0
    canvas *= 1.0 - rng.uniform(0.2, 0.5) * soft[:, :, None]


def _expose(rng: np.random.Generator, canvas: Field, unit: float) -> NDArray[np.uint8]:
    """Apply scene light, blur and sensor noise, and quantise."""
    height, width = canvas.shape[:2]
    light = TEXTURES["gradient"](rng, height, width, 1.0) * np.float32(rng.uniform(0.0, 0.25))
    canvas = canvas * (1.0 + light)[:, :, None]
    blur = float(rng.uniform(0.0, 0.8)) * unit
    if blur > 0.3:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), blur), dtype=np.float32)
    grain = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.04))
    return (np.clip(canvas + grain, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _drop_hidden(
    instance_ids: NDArray[np.int32], placed: list[_Placed]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Give hidden objects' few pixels to the background and number the rest without gaps."""
    area = np.bincount(instance_ids.ravel(), minlength=len(placed) + 1)
    keep = np.flatnonzero(area[1:] >= _LEAST_VISIBLE * instance_ids.size) + 1
    renumber = np.zeros(len(placed) + 1, dtype=np.int32)
    renumber[keep] = np.arange(1, len(keep) + 1)
    classes = np.array([placed[number - 1].shape + 1 for number in keep], dtype=np.int64)
    return renumber[instance_ids], classes
