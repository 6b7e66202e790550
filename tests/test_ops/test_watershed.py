import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.ops import watershed_basins

shapes = st.tuples(st.integers(1, 8), st.integers(1, 9))
maps = arrays(np.float32, shapes, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))


def sides(pixel, shape):
    """4-neighbours in the order up, down, left, right."""
    row, column = pixel
    near = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return [(y, x) for y, x in near if 0 <= y < shape[0] and 0 <= x < shape[1]]


def way_down(edges):
    """Where each pixel off the minima drains to: descent, else the nearest way on a plateau."""
    target, pixels = {}, list(np.ndindex(edges.shape))
    for pixel in pixels:
        lowest = min(sides(pixel, edges.shape), key=lambda near: edges[near], default=pixel)
        if edges[lowest] < edges[pixel]:
            target[pixel] = lowest
    while True:  # a step over all plateaus at once
        found = {}
        for pixel in pixels:
            if pixel not in target:
                for near in sides(pixel, edges.shape):
                    if edges[near] == edges[pixel] and near in target:
                        found.setdefault(pixel, near)
        if not found:
            return target
        target.update(found)


def bottom(pixel, target):
    while pixel in target:
        pixel = target[pixel]
    return pixel


def connected(pixels, shape):
    """Sets of pixels that are connected by sides, in the order of their first pixels."""
    pixels, parts = list(pixels), []
    while pixels:
        part = [pixels.pop(0)]
        for pixel in part:
            for near in sides(pixel, shape):
                if near in pixels:
                    pixels.remove(near)
                    part.append(near)
        parts.append(set(part))
    return parts


@given(maps)
def test_each_pixel_is_in_the_basin_that_it_drains_into(edges):
    target = way_down(edges)
    pixels = list(np.ndindex(edges.shape))
    minima = connected([pixel for pixel in pixels if pixel not in target], edges.shape)
    basins = watershed_basins(edges)
    for pixel in pixels:
        assert bottom(pixel, target) in minima[basins[pixel]]


@given(maps)
def test_basins_are_connected(edges):
    basins = watershed_basins(edges)
    for number in range(basins.max() + 1):
        assert len(connected(map(tuple, np.argwhere(basins == number)), edges.shape)) == 1


@given(maps, st.floats(0.01, 100))
def test_only_the_order_of_strengths_matters(edges, factor):
    assert (watershed_basins(edges * np.float64(factor)) == watershed_basins(edges)).all()


def test_a_line_parts_two_basins():
    edges = np.zeros((4, 5))
    edges[:, 2] = 1
    basins = watershed_basins(edges)
    assert (basins[:, :2] == 0).all()
    assert (basins[:, 3:] == 1).all()


def test_bad_maps_are_refused():
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        watershed_basins(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="finite"):
        watershed_basins(np.array([[0, np.nan]]))
