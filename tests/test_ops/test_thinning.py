"""Thinning and non-maximum suppression against slow loops, and what must hold for any map."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from trace_mm.ops import suppress_non_maxima, thin

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
maps = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.floats(0, 1, width=16),
)
EIGHT = np.ones((3, 3))


def thin_slowly(mask):
    """Guo and Hall's conditions, pixel by pixel; the ring goes against the clock from east."""
    current = np.pad(np.asarray(mask, dtype=int), 1)
    while True:
        before = current.copy()
        for second in (False, True):
            doomed = []
            for y, x in zip(*np.nonzero(current), strict=True):
                e, ne, n, nw = (
                    current[y, x + 1],
                    current[y - 1, x + 1],
                    current[y - 1, x],
                    current[y - 1, x - 1],
                )
                w, sw, s, se = (
                    current[y, x - 1],
                    current[y + 1, x - 1],
                    current[y + 1, x],
                    current[y + 1, x + 1],
                )
                ring = [e, ne, n, nw, w, sw, s, se, e]
                crossings = sum(not ring[i] and (ring[i + 1] or ring[i + 2]) for i in (0, 2, 4, 6))
                n1 = sum(ring[i] or ring[i + 1] for i in (0, 2, 4, 6))
                n2 = sum(ring[i + 1] or ring[i + 2] for i in (0, 2, 4, 6))
                side = (sw or s or not nw) and w if second else (ne or n or not se) and e
                if crossings == 1 and 2 <= min(n1, n2) <= 3 and not side:
                    doomed.append((y, x))
            for position in doomed:
                current[position] = 0
        if (current == before).all():
            return current[1:-1, 1:-1].astype(bool)


@given(masks)
@settings(max_examples=150, deadline=None)
def test_thin_matches_slow_loop(mask):
    np.testing.assert_array_equal(thin(mask), thin_slowly(mask))


@given(masks)
@settings(max_examples=150, deadline=None)
def test_thin_keeps_topology_and_is_idempotent(mask):
    skeleton = thin(mask)
    assert not (skeleton & ~mask).any()
    np.testing.assert_array_equal(thin(skeleton), skeleton)
    assert ndimage.label(skeleton, EIGHT)[1] == ndimage.label(mask, EIGHT)[1]
    holes, holes_before = (ndimage.label(~np.pad(m, 1))[1] for m in (skeleton, mask))
    assert holes == holes_before


def test_thin_of_a_bar_is_a_line():
    bar = np.zeros((15, 40), dtype=bool)
    bar[5:10, 5:35] = True
    skeleton = thin(bar)
    assert (skeleton.sum(axis=0) <= 1).all()
    assert skeleton[7, 10:30].all()


def test_thin_of_odd_inputs():
    assert thin(np.zeros((0, 5))).shape == (0, 5)
    assert thin([[0, 2]]).tolist() == [[False, True]]
    with pytest.raises(ValueError, match="two dimensions"):
        thin(np.zeros((1, 2, 3)))


def suppress_slowly(edges, smooth, border):
    """The protocol in float64, pixel by pixel."""

    def triangle(image, radius):
        weights = np.array([radius + 1 - abs(i) for i in range(-radius, radius + 1)], dtype=float)
        kernel = np.outer(weights, weights) / weights.sum() ** 2
        return ndimage.correlate(image, kernel, mode="reflect") if radius else image

    def gradient(image, axis):
        if image.shape[axis] == 1:
            return np.zeros_like(image)
        return np.gradient(image, axis=axis)

    def at(image, x, y):
        x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
        x0, y0 = math.floor(x), math.floor(y)
        x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
        a, b = x - x0, y - y0
        return (1 - b) * ((1 - a) * image[y0, x0] + a * image[y0, x1]) + b * (
            (1 - a) * image[y1, x0] + a * image[y1, x1]
        )

    height, width = edges.shape
    edges = triangle(edges.astype(float), smooth)
    blurred = triangle(edges, 4)
    gx, gy = gradient(blurred, 1), gradient(blurred, 0)
    xx, xy, yy = gradient(gx, 1), gradient(gx, 0), gradient(gy, 0)
    result = np.zeros_like(edges)
    for y in range(height):
        for x in range(width):
            angle = math.atan(yy[y, x] * (-1 if xy[y, x] > 0 else 1) / (xx[y, x] + 1e-5))
            dx, dy = math.cos(angle), math.sin(angle)
            value = edges[y, x]
            if 1.01 * value >= max(at(edges, x + dx, y + dy), at(edges, x - dx, y - dy)):
                result[y, x] = value
            for position, length in ((x, width), (y, height)):
                rim = min(border, length // 2)
                if rim:
                    result[y, x] *= min(1, min(position, length - 1 - position) / rim)
    return result


@pytest.mark.parametrize("shape", [(24, 31), (9, 40), (3, 5), (1, 7), (6, 1)])
@pytest.mark.parametrize(("smooth", "border"), [(1, 5), (0, 0)])
def test_suppression_matches_slow_loop(shape, smooth, border):
    noise = np.random.default_rng(7).random(shape)
    edges = ndimage.gaussian_filter(noise, 1.5)
    expected = suppress_slowly(edges, smooth, border)
    actual = suppress_non_maxima(edges, smooth=smooth, border=border)
    # Rounding may flip a pixel that is exactly at the margin.
    assert np.isclose(actual, expected, atol=1e-5).mean() > 0.99


@given(maps)
@settings(max_examples=60, deadline=None)
def test_suppression_never_adds(edges):
    suppressed = suppress_non_maxima(edges, smooth=0, border=0)
    assert suppressed.dtype == np.float32
    assert ((suppressed == 0) | (suppressed == edges)).all()


@given(maps, st.sampled_from([0.0, 0.01, 0.3, 0.5, 2.0]), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_floor_takes_away_what_is_below_and_nothing_else(edges, floor, border):
    suppressed = suppress_non_maxima(edges, smooth=1, border=border)
    expected = np.where(suppressed >= np.float32(floor), suppressed, 0)
    actual = suppress_non_maxima(edges, smooth=1, border=border, floor=floor)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_straight_ridge_becomes_a_line(axis):
    """A perfectly axis-aligned ridge has no mixed derivative; its direction must still be right."""
    profile = np.exp(-0.5 * ((np.arange(41) - 20) / 3.0) ** 2)
    ridge = np.repeat(profile[:, None], 41, axis=1)
    ridge = ridge if axis == 0 else ridge.T
    suppressed = suppress_non_maxima(ridge, smooth=0)
    across = np.flatnonzero(suppressed.take(20, axis=1 - axis) > 0.1)
    assert across.tolist() == [20]


def test_diagonal_ridge_becomes_a_line():
    y, x = np.mgrid[:41, :41]
    ridge = np.exp(-0.5 * ((y - x) / 3.0) ** 2)
    suppressed = suppress_non_maxima(ridge, smooth=0)
    assert np.flatnonzero(suppressed[20] > 0.1).tolist() == [20]


def test_suppression_of_a_tensor_gives_a_tensor():
    edges = torch.rand(8, 9)
    result = suppress_non_maxima(edges)
    assert isinstance(result, torch.Tensor)
    np.testing.assert_array_equal(result.numpy(), suppress_non_maxima(edges.numpy()))


def test_suppression_refuses_bad_maps():
    with pytest.raises(ValueError, match="two dimensions"):
        suppress_non_maxima(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="finite"):
        suppress_non_maxima(np.full((3, 3), np.nan))
    with pytest.raises(ValueError, match="negative"):
        suppress_non_maxima(np.full((3, 3), -1.0))
    assert suppress_non_maxima(np.zeros((0, 3))).shape == (0, 3)
