"""Pictures of panoptic labels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.visualization.panoptic import draw_names, draw_panoptic, draw_segments


def test_segments_have_colours_void_is_dark_and_borders_are_white():
    image = np.full((6, 9, 3), 0.5, dtype=np.float32)
    ids = np.zeros((6, 9), dtype=np.int32)
    ids[:, 3:6], ids[:, 6:] = 1, 2
    drawn = draw_segments(image, ids)
    assert drawn.shape == (6, 9, 3)
    assert (drawn[:, [2, 5]] == 255).all()  # left of where the id changes
    colors = [drawn[0, column] for column in (0, 3, 6)]
    assert (colors[0] == round(0.4 * 0.5 * 255)).all()
    assert len({tuple(color) for color in colors}) == 3
    assert not (drawn[:, [0, 1, 3, 4, 6, 7, 8]] == 255).all(axis=2).any()


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    longest=st.integers(1, 50),
    with_edges=st.booleans(),
)
def test_panels_are_of_one_size_and_no_longer_than_asked(height, width, longest, with_edges):
    image = np.zeros((height, width, 3), dtype=np.float32)
    ids = np.ones((height, width), dtype=np.int32)
    edges = np.zeros((height, width), dtype=np.float32) if with_edges else None
    drawn = draw_panoptic(image, ids - 1, edges, ids, longest)
    panels = 4 if with_edges else 3
    assert drawn.shape[1] % panels == 0
    shown = drawn.shape[0], drawn.shape[1] // panels
    if max(height, width) <= longest:
        assert shown == (height, width)
    else:
        assert max(shown) == longest


def test_panels_are_in_order():
    image = np.zeros((4, 4, 3), dtype=np.float32)
    image[:2] = 1
    edges = np.eye(4, dtype=np.float32)
    ids = np.array([[1, 1, 2, 2]] * 4, dtype=np.int32)
    first, second, third, fourth = np.split(draw_panoptic(image, ids * 0 - 1, edges, ids), 4, 1)
    np.testing.assert_array_equal(first, np.rint(image * 255))
    np.testing.assert_array_equal(second, draw_segments(image, ids * 0))
    np.testing.assert_array_equal(third[:, :, 0], edges * 255)
    np.testing.assert_array_equal(fourth, draw_segments(image, ids))


def test_names_are_written_where_there_is_room():
    picture = np.full((60, 120, 3), 128, dtype=np.uint8)
    ids = np.zeros((60, 120), dtype=np.int32)
    ids[5:45, 10:110] = 1
    ids[50:55, 50:55] = 2
    drawn = draw_names(picture, ids, {1: "zebra", 2: "dog"})
    changed = (drawn != picture).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 15 and rows.max() < 40, "in the middle of the large segment"
    assert columns.min() > 30 and columns.max() < 90
    assert (picture == 128).all()


def test_names_stay_in_the_picture():
    picture = np.full((40, 30, 3), 128, dtype=np.uint8)
    ids = np.ones((40, 30), dtype=np.int32)
    drawn = draw_names(
        picture, ids, {1: "a name that is much too long, also with \u00fcml\u00e4uts"}
    )
    assert drawn.shape == picture.shape and (drawn != picture).any()


def test_panels_have_the_names_of_classes_and_segments():
    image = np.zeros((60, 60, 3), dtype=np.float32)
    ids = np.ones((60, 60), dtype=np.int32)
    plain = np.split(draw_panoptic(image, ids - 1, None, ids), 3, 1)
    named = np.split(
        draw_panoptic(image, ids - 1, None, ids, class_names=["dog"], segment_names=["dog"]), 3, 1
    )
    assert [(a != b).any() for a, b in zip(plain, named, strict=True)] == [False, True, True]
