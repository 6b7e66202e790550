import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trace_mm.datasets import UnlabelledImageDataset
from trace_mm.datasets.random_views import RandomViews
from trace_mm.datasets.visit import Visit


def chance(seed=0):
    return np.random.default_rng(seed)


@given(
    height=st.integers(4, 60),
    width=st.integers(4, 60),
    crop=st.integers(1, 40),
    sides=st.tuples(st.floats(4, 60), st.floats(4, 60)).map(sorted),
    seed=st.integers(0, 99),
)
def test_a_view_has_its_size_and_stays_within_the_image(height, width, crop, sides, seed):
    image = torch.full((3, height, width), 0.25)
    view, edges = RandomViews(crop, sides).cut(image, torch.ones(5, 7), chance(seed))
    assert view.shape == (3, crop, crop) and edges.shape == (crop, crop)
    torch.testing.assert_close(view, torch.full_like(view, 0.25))  # nothing from outside
    torch.testing.assert_close(edges, torch.ones_like(edges))


def test_edges_are_those_of_the_part_that_is_shown():
    """An image whose red is the row and whose edges are too: they must agree in every view."""
    rows = torch.linspace(0, 1, 48)[:, None].expand(48, 64)
    image = torch.stack([rows, rows, rows])
    for seed in range(8):
        view, edges = RandomViews(16, (30, 60)).cut(image, rows, chance(seed))
        torch.testing.assert_close(view[0], edges)
    coarse = rows[::4, ::4]  # a token grid
    view, edges = RandomViews(16, (48, 60)).cut(image, coarse, chance(1))
    assert (view[0] - edges).abs().max() < 0.05


def test_sizes_vary_within_the_bounds():
    """A lone white column is as wide as the image was enlarged."""
    image = torch.zeros(3, 40, 40)
    image[:, :, 18:22] = 1
    views = RandomViews(40, (40, 80))
    sums = [views.cut(image, None, chance(seed))[0][0].sum(1).max() for seed in range(40)]
    widths = torch.tensor([float(s) for s in sums if s > 0])
    assert widths.min() >= 0.9 * 4 * 0.5 and widths.max() <= 2.1 * 4 and widths.std() > 0.4


def test_a_dataset_shows_another_part_at_each_visit_and_the_same_again(tmp_path):
    pixels = chance().integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    source = {"type": "ImageFolder", "data_root": str(tmp_path)}
    dataset = UnlabelledImageDataset(source, views={"crop": 16, "sides": (30, 60)}, flip=0.5)
    first = [dataset[Visit(0, visit)]["inputs"] for visit in range(5)]
    again = [dataset[Visit(0, visit)]["inputs"] for visit in range(5)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({view.sum().item() for view in first}) == 5
    with pytest.raises(ValueError, match="VisitSampler"):
        dataset[0]


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1 pixel"):
        RandomViews(0, (10, 20))
    with pytest.raises(ValueError, match="sides"):
        RandomViews(8, (20, 10))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    source = {"type": "ImageFolder", "data_root": str(tmp_path)}
    with pytest.raises(ValueError, match="size must be None"):
        UnlabelledImageDataset(source, size=8, views={"crop": 4, "sides": (8, 9)})
