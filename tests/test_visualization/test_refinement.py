import numpy as np
import pytest

from trace_mm.visualization import draw_instances, draw_refinement
from trace_mm.visualization.refinement import instance_color, matching_colors, split_borders

YELLOW, LIGHT_BLUE = (255, 217, 0), (0, 230, 255)


def halves():
    left = np.zeros((40, 60), dtype=bool)
    left[8:32, 10:30] = True
    right = np.zeros((40, 60), dtype=bool)
    right[8:32, 30:50] = True
    return left, right


def has_color(picture, color):
    return (picture == np.array(color)).all(axis=2)


def test_a_split_is_marked_in_the_third_picture():
    left, right = halves()
    image = np.full((40, 60, 3), 0.4, dtype=np.float32)

    drawn = draw_refinement(
        image,
        (left | right)[None],
        np.zeros((40, 60), np.float32),
        np.stack([left, right]),
        [[0], [0]],
    )

    assert drawn.shape[0] > 40  # there is a strip with captions below
    assert drawn.shape[1:] == (3 * 60 + 2 * 4, 3)
    for start in (0, 64, 128):
        assert (drawn[40:, start : start + 60] < 128).any()
    marked = has_color(drawn, YELLOW)
    assert marked[:, 128:][8:32, 29:31].all()
    assert not marked[:, :128].any()
    assert not has_color(drawn, LIGHT_BLUE).any()


def test_without_edges_there_are_two_pictures():
    left, right = halves()
    image = np.full((40, 60, 3), 0.4, dtype=np.float32)
    masks = np.stack([left, right])
    edges = np.zeros((40, 60), np.float32)
    three = draw_refinement(image, masks, edges, masks, [[0], [1]])
    two = draw_refinement(image, masks, None, masks, [[0], [1]])
    np.testing.assert_array_equal(two, np.concatenate([three[:, :64], three[:, 128:]], axis=1))


def test_masks_that_became_one_have_a_marked_outline():
    left, right = halves()
    image = np.full((40, 60, 3), 0.4, dtype=np.float32)

    drawn = draw_refinement(
        image,
        np.stack([left, right]),
        np.zeros((40, 60), np.float32),
        (left | right)[None],
        [[0, 1]],
    )

    marked = has_color(drawn, LIGHT_BLUE)[:, 128:]
    assert marked[8, 10:50].all()
    assert not marked[15:25, 20:40].any()


def test_each_instance_has_a_colour_of_its_own():
    colors = np.stack([instance_color(index) for index in range(12)])
    distances = np.abs(colors[:, None] - colors[None]).sum(-1) + 9 * np.eye(12)
    assert distances.min() > 0.1

    left, right = halves()
    drawn = draw_instances(np.zeros((40, 60, 3), np.float32), np.stack([left, right]))
    np.testing.assert_allclose(drawn[20, 20] / 255, 0.55 * instance_color(0), atol=0.01)
    np.testing.assert_allclose(drawn[20, 40] / 255, 0.55 * instance_color(1), atol=0.01)
    assert (drawn[0] == 0).all()


def test_an_object_keeps_its_colour():
    left, right = halves()
    part = left.copy()
    part[:, 15:] = False
    image = np.full((40, 60, 3), 0.4, dtype=np.float32)
    before = np.stack([left, right])
    after = np.stack([right, part, left & ~part])  # in another order, the first mask in two
    sources = [[1], [0], [0]]

    assert matching_colors(before, after, sources) == [1, 2, 0]
    drawn = draw_refinement(image, before, np.zeros((40, 60), np.float32), after, sources)
    for place in ((20, 25), (20, 45)):
        assert (drawn[place] == drawn[place[0], place[1] + 128]).all()
    assert (drawn[20, 12] != drawn[20, 12 + 128]).any()

    whole = (left | right)[None]
    assert matching_colors(before, whole, [[0, 1]]) == [0]
    assert matching_colors(before[:0], whole, [[]]) == [0]


def test_only_masks_of_one_source_share_a_split():
    left, right = halves()

    assert split_borders(np.stack([left, right]), [[0, 1], [1]], 1).any()
    assert not split_borders(np.stack([left, right]), [[0], [1]], 1).any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200)])
def test_images_of_any_shape_are_drawn(shape):
    nothing = np.zeros((0, *shape), dtype=bool)
    drawn = draw_refinement(
        np.zeros((*shape, 3), np.float32), nothing, np.zeros(shape, np.float32), nothing, []
    )
    assert drawn.shape[0] > shape[0] and drawn.shape[1:] == (3 * shape[1] + 8, 3)
