import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.datasets import CollageDataset
from trace_mm.datasets.collages import render_collage
from trace_mm.datasets.visit import Visit

SHADES = (0.1, 0.4, 0.6, 0.9)


def plain(index):
    """Photos of one shade each: then all that a collage shows is its parts."""
    return np.full((60, 80, 3), SHADES[index], dtype=np.float32)


def test_a_collage_is_a_pure_function_of_its_number():
    first, again, next_one = (render_collage(plain, 4, 0, index, 64) for index in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.borders, again.borders)
    assert (first.image != next_one.image).any()
    assert first.image.shape == (64, 64, 3) and first.borders.shape == (64, 64)


def test_borders_are_where_parts_differ():
    """Off the borders and their soft rims, neighbours differ by the noise only."""
    on, off = [], []
    for index in range(20):
        collage = render_collage(plain, 4, 1, index, 128)
        gray = collage.image.astype(float).mean(2)
        step = np.abs(np.roll(gray, -2, 1) - np.roll(gray, 2, 1))[:, 2:-2]
        borders = collage.borders[:, 2:-2]
        on.append(step[borders])
        off.append(step[~borders])
    assert np.concatenate(on).mean() > 4 * np.concatenate(off).mean()


def test_borders_are_thin_and_most_collages_have_some():
    shares = [render_collage(plain, 4, 2, index, 128).borders.mean() for index in range(30)]
    assert 0.005 < np.mean(shares) < 0.1
    assert np.mean([share > 0 for share in shares]) > 0.9


@pytest.mark.parametrize("photos, seed, size", [(0, 0, 64), (1, -1, 64), (1, 0, 16)])
def test_what_is_no_collage(photos, seed, size):
    with pytest.raises(ValueError, match="a collage needs a photo"):
        render_collage(plain, photos, seed, 0, size)


@pytest.fixture
def source(tmp_path):
    for index, shade in enumerate(SHADES):
        Image.new("RGB", (80, 60), (int(255 * shade),) * 3).save(tmp_path / f"{index}.png")
    return {"type": "ImageFolder", "data_root": str(tmp_path)}


def test_items_have_edges_at_the_cells_that_borders_run_through(source):
    dataset = CollageDataset(source, length=5, size=64, cell=2)
    assert len(dataset) == 5
    item = dataset[2]
    found = render_collage(lambda index: dataset.source.read(index).pixels, 4, 0, 2, 64)
    assert item["inputs"].shape == (3, 64, 64)
    torch.testing.assert_close(
        item["inputs"], torch.from_numpy(found.image.transpose(2, 0, 1).copy()) / 255
    )
    edges = item["data_samples"].pseudo_edges
    for row in range(32):
        for column in range(32):
            cell = found.borders[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert edges[row, column] == float(cell.any())


def test_each_visit_is_another_collage(source):
    dataset = CollageDataset(source, length=5, size=64)
    items = [dataset[number] for number in (1, Visit(1, 0), Visit(1, 1))]
    names = [item["data_samples"].image_id for item in items]
    assert names == ["collage-0-000001", "collage-0-000001", "collage-0-000006"]
    assert torch.equal(items[0]["inputs"], items[1]["inputs"])
    assert not torch.equal(items[1]["inputs"], items[2]["inputs"])
    with pytest.raises(IndexError, match="there are 5 collages, none has index 5"):
        dataset[5]


def test_what_makes_no_dataset(source, tmp_path):
    with pytest.raises(ValueError, match="length must be at least 1"):
        CollageDataset(source, length=0)
    with pytest.raises(ValueError, match="64 pixels is no whole number of cells of 3"):
        CollageDataset(source, size=64, cell=3)
    (tmp_path / "2.png").write_bytes(b"no image")
    dataset = CollageDataset(source, length=40, size=64)
    with pytest.raises(ValueError, match=r"2\.png"):
        [dataset[index] for index in range(40)]
