import numpy as np
import pytest
import torch

from trace_mm.refinement.working_grid import (
    fitting_grid,
    resize_edges,
    resize_masks,
    working_grid,
)


@pytest.mark.parametrize(
    ("size", "resolution", "grid"),
    [
        ((480, 640), 128, (96, 128)),
        ((640, 480), 128, (128, 96)),
        ((60, 50), 128, (60, 50)),
        ((2000, 3), 100, (100, 1)),
    ],
)
def test_the_longer_side_has_the_resolution_at_most(size, resolution, grid):
    assert working_grid(size, resolution) == grid


def test_a_thin_line_is_not_lost_on_a_smaller_grid():
    edges = torch.zeros(40, 60)
    edges[:, 31] = 0.8

    small = resize_edges(edges, (10, 15))

    assert small.shape == (10, 15)
    assert torch.all(small.amax(1) == 0.8)
    assert (small > 0).sum() == 10


def test_a_mask_pixel_is_covered_to_a_half_at_least():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, 0:2] = True  # half of the first block
    mask[0, 2, 2] = True  # a quarter of the last

    small = resize_masks(mask, (2, 2))

    assert small.tolist() == [[[True, False], [False, False]]]


def test_masks_and_edges_are_enlarged_and_left_alone_at_their_own_size():
    mask = torch.ones(2, 3, 3, dtype=torch.bool)

    assert resize_masks(mask, (6, 7)).shape == (2, 6, 7)
    assert resize_masks(mask, (6, 7)).all()
    assert torch.equal(resize_masks(mask, (3, 3)), mask)
    assert resize_masks(mask[:0], (6, 7)).shape == (0, 6, 7)
    assert resize_edges(torch.ones(3, 3), (5, 6)).shape == (5, 6)


@pytest.mark.parametrize(("pitch", "grid"), [(320, 128), (40, 128), (16, 256), (6, 512)])
def test_a_mask_gets_the_coarsest_grid_that_shows_its_components(pitch, grid):
    mask = np.ones((480, 640), dtype=bool)
    on_edge = np.zeros_like(mask)
    on_edge[:, ::pitch] = True

    assert max(fitting_grid(mask, on_edge)) == grid


def test_few_and_tiny_components_do_not_refine_a_grid():
    mask = np.ones((480, 640), dtype=bool)
    on_edge = np.zeros_like(mask)
    on_edge[100:140, 200:260:4] = True  # 4 pixels wide, in a small part of the mask
    assert max(fitting_grid(mask, on_edge)) == 128
    on_edge[:, ::2] = True  # 1 pixel wide, everywhere
    assert max(fitting_grid(mask, on_edge)) == 128
    assert fitting_grid(np.zeros_like(mask), on_edge) == (96, 128)
    assert fitting_grid(mask[:50, :60], on_edge[:50, :60]) == (50, 60)
