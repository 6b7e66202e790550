from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.models.sizes import read_tiles, tile_spans, tile_windows, working_size


def test_images_keep_their_aspect_ratio():
    assert working_size((128, 128), 512, 8) == (512, 512)
    assert working_size((480, 640), 256, 8) == (224, 296)


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_any_image_fits(height, width):
    size = working_size((height, width), 256, 8)
    assert all(side > 0 and side % 8 == 0 for side in size)
    assert size[0] * size[1] <= 1.35 * 256**2  # 12 pixels become 16


@given(st.integers(1, 500), st.integers(1, 200), st.floats(0, 0.9))
def test_tiles_cover_a_side_with_the_asked_overlap(length, tile, overlap):
    spans = tile_spans(length, tile, overlap)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(end - start == min(tile, length) for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert end - start >= int(overlap * tile) - 1


def test_windows_weigh_every_pixel():
    total = torch.zeros(70, 50)
    for rows, columns, weight in tile_windows((70, 50), 32, 0.25):
        assert weight.shape == (32, 32) and weight.min() > 0
        total[rows, columns] += weight
    assert total.min() > 0


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="cannot show"):
        working_size((0, 5), 128, 8)
    with pytest.raises(ValueError, match="overlap"):
        tile_spans(10, 5, 1.0)


def test_tiles_that_agree_are_blended_to_the_whole():
    image = torch.rand(3, 41, 70, generator=torch.Generator().manual_seed(0))
    found = read_tiles(image, 16, 0.25, lambda part: part[1])
    torch.testing.assert_close(found, image[1])


def test_small_images_are_not_enlarged_without_limit():
    assert working_size((40, 60), 384, 8) != working_size((40, 60), 384, 8, 2)
    height, width = working_size((40, 60), 384, 8, 2)
    assert (height, width) == (80, 120)
    assert working_size((480, 640), 384, 8, 2) == working_size((480, 640), 384, 8)
    assert working_size((2, 2), 384, 8, 2) == (8, 8)  # the least that the model takes
