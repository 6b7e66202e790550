import matplotlib
import numpy as np
import pytest
from PIL import Image

from trace_mm.visualization.image_plots import (
    AttentionSeries,
    EdgeComparison,
    plot_attention,
    plot_edge_comparison,
)
from trace_mm.visualization.plot_style import save_figure

IMAGE = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
EDGES = np.zeros((20, 30), np.float32)
EDGES[10] = 1


def shown(axes):
    return np.asarray(axes.get_images()[0].get_array())


def series(timesteps=(0, 300), chosen=300):
    colors = [np.full((4, 6, 3), step // 2, np.uint8) for step in timesteps]
    return AttentionSeries(IMAGE, timesteps, colors, chosen)


def test_attention_stands_under_its_timestep():
    figure = plot_attention([series(), series(chosen=None)])
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == ["image", "t = 0", "t = 300"]
    np.testing.assert_array_equal(shown(figure.axes[0]), IMAGE)
    assert (shown(figure.axes[2]) == 150).all()
    framed = [number for number, axes in enumerate(figure.axes) if axes.texts]
    assert framed == [2]
    with pytest.raises(ValueError, match="same timesteps"):
        plot_attention([series(), series((0, 200))])
    with pytest.raises(ValueError, match="no image"):
        plot_attention([])


def test_edges_are_dark_on_white_in_order():
    rows = [EdgeComparison(IMAGE, EDGES, 0.5 * EDGES, 1 - EDGES)]
    figure = plot_edge_comparison(rows, ("before", "after"))
    assert [a.get_title() for a in figure.axes] == ["image", "true edges", "before", "after"]
    for axes, edges in zip(figure.axes[1:], (1 - EDGES, EDGES, 0.5 * EDGES), strict=True):
        np.testing.assert_array_equal(shown(axes), 1 - edges)
    without = plot_edge_comparison([*rows, EdgeComparison(IMAGE, EDGES, EDGES)])
    assert [a.get_title() for a in without.axes[:3]] == ["image", "teacher", "student"]
    with pytest.raises(ValueError, match="not of the image's size"):
        plot_edge_comparison([EdgeComparison(IMAGE, EDGES, EDGES[1:])])
    with pytest.raises(ValueError, match="no image"):
        plot_edge_comparison([])


def test_figures_are_written_alike_each_time(tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a.png", "b.svg", "c.pdf"):
        files = [save_figure(plot_attention([series()]), tmp_path / k / name) for k in "xy"]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert dict(matplotlib.rcParams) == before
    with Image.open(tmp_path / "x" / "a.png") as picture:
        width, height = picture.size
        assert width > 2.2 * height  # three pictures of 3:2 in a row, under their titles
        assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == [255] * 3
    with pytest.raises(ValueError, match=r"x\.jpg: a figure ends in"):
        save_figure(plot_attention([series()]), tmp_path / "x.jpg")
