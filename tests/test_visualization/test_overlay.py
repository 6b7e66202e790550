import numpy as np
import pytest

from trace_mm.visualization import draw_overlay, thumbnail
from trace_mm.visualization.overlay import EDGE_COLOR


def test_no_edges_leave_the_faded_image():
    image = np.random.default_rng(0).random((4, 5, 3), dtype=np.float32)
    overlay = draw_overlay(image, np.zeros((4, 5), np.float32), fade=0)
    np.testing.assert_array_equal(overlay, np.rint(image * 255))
    grey = draw_overlay(image, np.zeros((4, 5), np.float32), fade=1)
    assert (grey[:, :, 0] == grey[:, :, 1]).all()


def test_full_edges_have_the_color():
    overlay = draw_overlay(np.zeros((1, 1, 3), np.float32), np.ones((1, 1), np.float32))
    np.testing.assert_array_equal(overlay[0, 0], np.rint(np.array(EDGE_COLOR) * 255))


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="must be"):
        draw_overlay(np.zeros((2, 3, 3), np.float32), np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="fade"):
        draw_overlay(np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), np.float32), fade=2)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((10, 20), (10, 20)),
        ((8000, 1, 3), (640, 1, 3)),
        ((1, 8000), (1, 640)),
        ((900, 1280), (450, 640)),
    ],
)
def test_thumbnail(shape, expected):
    assert thumbnail(np.zeros(shape, np.uint8)).shape == expected
