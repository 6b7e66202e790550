"""Thin lines out of soft edge maps: non-maximum suppression and morphological thinning.

Both follow the protocol that edge detectors are scored by on BSDS500 (the structured-edge toolbox
of Dollar and Zitnick, 2015, as HED and PiDiNet use it), so that scores compare with the literature.
"""

from functools import cache
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch

Map = TypeVar("Map", np.ndarray, torch.Tensor)

# Against the clock from the east, as the bits 0 to 7 of a neighbour code; (dy, dx) with y down.
_NEIGHBORS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
# Pixels looked at in one go: few enough for a processor's cache.
_PIXELS_PER_CHUNK = 1 << 14


def suppress_non_maxima(
    edges: Map,
    smooth: int = 1,
    radius: int = 1,
    margin: float = 1.01,
    border: int = 5,
    floor: float = 0.0,
) -> Map:
    """Keep an edge value only where it is a maximum across the edge; zero elsewhere.

    The direction across the edge comes from second derivatives of the map, smoothed with a triangle
    filter of radius 4; neighbours along it are read by bilinear interpolation.

    Args:
        edges: soft edge map (H, W), finite and not negative; of any number type.
        smooth: radius in pixels of a triangle filter that is applied first; 0 for none.
        radius: how many pixels to look at on either side.
        margin: a value survives if ``margin`` times it is not below its neighbours; above 1, so
            that the pixels of a plateau survive (thinning deals with them).
        border: values fade linearly to 0 over this many pixels at the image's rim, where the
            direction is unreliable; 0 for none.
        floor: results below it are 0 instead, which takes less time.

    Returns:
        float32 map (H, W), an array for an array and a tensor on the same device for a tensor.

    Raises:
        ValueError: if the map is not two-dimensional or has NaN, infinite or negative values.
    """
    if isinstance(edges, torch.Tensor):
        array = edges.detach().cpu().float().numpy()
        thin_edges = _suppress_array(array, smooth, radius, margin, border, floor)
        return torch.from_numpy(thin_edges).to(edges.device)
    array = np.asarray(edges, dtype=np.float32)
    return _suppress_array(array, smooth, radius, margin, border, floor)


def thin(mask: npt.ArrayLike) -> np.ndarray:
    """Thin a mask to lines one pixel wide, keeping how they connect.

    Parallel thinning with two sub-iterations (Guo and Hall, 1989, in the form of Lam, Lee and Suen,
    1992), which is what the BSDS protocol uses as ``bwmorph(mask, 'thin', Inf)``.

    Args:
        mask: bool (H, W), or anything that is non-zero where the mask is set.

    Returns:
        bool (H, W), a subset of the mask, 8-connected.

    Raises:
        ValueError: if the mask is not two-dimensional.

    Examples:
        >>> import numpy as np
        >>> thin(np.ones((3, 7))).astype(int).tolist()
        [[0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0]]
    """
    current = (np.asarray(mask) != 0).astype(np.uint8)
    if current.ndim != 2:
        raise ValueError(f"a mask has two dimensions, got shape {current.shape}")
    if current.size == 0:
        return current.astype(bool)
    kernel = _neighbor_kernel()
    changed = True
    while changed:
        changed = False
        for keep in _thinning_tables():
            code = cv2.filter2D(current, -1, kernel, borderType=cv2.BORDER_CONSTANT)
            survivors = current & cv2.LUT(code, keep)
            changed = changed or not np.array_equal(survivors, current)
            current = survivors
    return current.astype(bool)


def _suppress_array(
    edges: np.ndarray, smooth: int, radius: int, margin: float, border: int, floor: float
) -> np.ndarray:
    if edges.ndim != 2:
        raise ValueError(f"an edge map has two dimensions, got shape {edges.shape}")
    if edges.size == 0:
        return edges.copy()
    if not np.isfinite(edges).all() or edges.min() < 0:
        raise ValueError("an edge map must be finite and not negative")
    edges = _triangle_filter(edges, smooth)
    faded = edges * _border_fade(edges.shape, border)

    ys, xs = np.nonzero((edges > 0) & (faded >= np.float32(floor)))  # (n,), others cannot survive
    blurred = _triangle_filter(edges, 4)
    gradient_y, gradient_x = _gradient(blurred, 0), _gradient(blurred, 1)
    second = (_gradient(gradient_y, 0), _gradient(gradient_x, 0), _gradient(gradient_x, 1))
    edges = np.ascontiguousarray(edges)
    suppressed = np.zeros_like(edges)
    for start in range(0, len(ys), _PIXELS_PER_CHUNK):
        chunk = slice(start, start + _PIXELS_PER_CHUNK)
        y, x = ys[chunk], xs[chunk]
        limit = edges[y, x] * np.float32(margin)
        angle = _normal_angle(*(derivative[y, x] for derivative in second))
        step_y, step_x = np.sin(angle), np.cos(angle)
        for distance in (*range(-radius, 0), *range(1, radius + 1)):
            neighbor = _interpolate(edges, y + distance * step_y, x + distance * step_x)
            survives = np.flatnonzero(limit >= neighbor)
            y, x, limit = y[survives], x[survives], limit[survives]
            step_y, step_x = step_y[survives], step_x[survives]
        suppressed[y, x] = faded[y, x]
    return suppressed


def _triangle_filter(image: np.ndarray, radius: int) -> np.ndarray:
    """Convolve float32 (H, W) with a triangle of the given radius, mirrored at the rim."""
    if radius == 0:
        return image
    rise = np.arange(1, radius + 1, dtype=np.float32)
    kernel = np.concatenate([rise, [np.float32(radius + 1)], rise[::-1]]) / (radius + 1) ** 2
    pad = np.pad(
        image, radius, mode="symmetric"
    )  # OpenCV cannot mirror an image narrower than this
    filtered = cv2.sepFilter2D(pad, cv2.CV_32F, kernel, kernel)
    return filtered[radius:-radius, radius:-radius]


def _gradient(image: np.ndarray, axis: int) -> np.ndarray:
    if image.shape[axis] < 2:
        return np.zeros_like(image)
    return np.gradient(image, axis=axis)


def _normal_angle(yy: np.ndarray, xy: np.ndarray, xx: np.ndarray) -> np.ndarray:
    """Angle (n,) in [0, pi) across the edge from second derivatives (n,); 0 along x.

    The protocol's formula, an approximation of the Hessian's principal axis that is exact along the
    axes and diagonals. Other than there, a vanishing mixed derivative counts as positive: otherwise
    a perfectly horizontal edge would be given the direction along itself.
    """
    sign = 1 - 2 * (xy > 0).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arctan(yy * sign / (xx + np.float32(1e-5)))
    angle[np.isnan(angle)] = 0
    return angle + (angle < 0) * np.float32(np.pi)


def _interpolate(image: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Bilinear values of (H, W) at float positions (n,), which are clamped into the image."""
    height, width = image.shape
    ys, xs = np.clip(ys, 0, height - 1), np.clip(xs, 0, width - 1)
    y0, x0 = ys.astype(np.intp), xs.astype(np.intp)
    down, right = ys - y0, xs - x0
    corner = y0 * width + x0
    # At the last row or column the weight of what would be beyond is 0.
    to_right = (x0 < width - 1).astype(np.intp)
    below = corner + (y0 < height - 1) * width
    values = image.ravel()
    top = values.take(corner) * (1 - right) + values.take(corner + to_right) * right
    bottom = values.take(below) * (1 - right) + values.take(below + to_right) * right
    return top * (1 - down) + bottom * down


def _border_fade(shape: tuple[int, ...], border: int) -> np.ndarray:
    """Factors (H, W) in [0, 1] that fall to 0 at the rim over at most half the image."""
    rows, columns = (_ramp(length, border) for length in shape)
    return np.outer(rows, columns)


def _ramp(length: int, border: int) -> np.ndarray:
    width = max(min(border, length // 2), 1)
    position = np.arange(length)
    from_rim = np.minimum(position, position[::-1])
    if border == 0 or length < 2:
        return np.ones(length, dtype=np.float32)
    return np.minimum(1.0, from_rim / width).astype(np.float32)


@cache
def _neighbor_kernel() -> np.ndarray:
    kernel = np.zeros((3, 3), dtype=np.float32)
    for bit, (dy, dx) in enumerate(_NEIGHBORS):
        kernel[1 + dy, 1 + dx] = 2**bit
    return kernel


@cache
def _thinning_tables() -> tuple[np.ndarray, np.ndarray]:
    """For each neighbour code, 1 if the pixel stays: uint8 (256,) for either sub-iteration."""
    codes = np.arange(256)
    x = [(codes >> bit) & 1 for bit in range(8)]  # x[0] east, then against the clock
    crossings = sum((1 - x[i]) & (x[i + 1] | x[(i + 2) % 8]) for i in (0, 2, 4, 6))
    odd_pairs = sum(x[i] | x[i + 1] for i in (0, 2, 4, 6))
    even_pairs = sum(x[i + 1] | x[(i + 2) % 8] for i in (0, 2, 4, 6))
    pairs = np.minimum(odd_pairs, even_pairs)
    simple = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    first = simple & (((x[1] | x[2] | (1 - x[7])) & x[0]) == 0)
    second = simple & (((x[5] | x[6] | (1 - x[3])) & x[4]) == 0)
    return (~first).astype(np.uint8), (~second).astype(np.uint8)
