import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.datasets import instance_borders
from trace_mm.panoptic import PanopticLabeler
from trace_mm.registry import TASK_UTILS

SIZE = (40, 60)
SHEEP, DOG, GRASS, VOID = 0, 1, 2, -1
THINGS = 2


def two_sheep():
    """Instance ids of two sheep that touch, and the class map that does not tell them apart."""
    ids = np.zeros(SIZE, dtype=int)
    ids[10:30, 8:28] = 1
    ids[10:30, 28:52] = 2
    return ids, np.where(ids > 0, SHEEP, GRASS).astype(np.int32)


def masks_of(labels, number):
    return [labels.ids == i for i, one in enumerate(labels.classes, start=1) if one == number]


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_edges_tell_neighbors_of_one_class_apart():
    ids, classes = two_sheep()

    labels = PanopticLabeler()(classes, THINGS, instance_borders(ids).astype(np.float32))

    assert labels.classes.tolist() == [SHEEP, SHEEP, GRASS]
    for number, mask in enumerate(masks_of(labels, SHEEP), start=1):
        assert iou(mask, ids == number) > 0.95
    assert ((labels.ids == 3) == (classes == GRASS)).all()


def test_without_edges_connected_parts_are_objects():
    ids, classes = two_sheep()
    classes[10:30, 20:22] = GRASS

    labels = PanopticLabeler()(classes, THINGS)

    assert labels.classes.tolist() == [SHEEP, SHEEP, GRASS]
    assert (masks_of(labels, SHEEP)[0] == ((ids > 0) & (np.indices(SIZE)[1] < 20))).all()


def test_a_line_with_a_gap_separates():
    ids, classes = (np.kron(one, np.ones((2, 2), dtype=int)) for one in two_sheep())
    edges = instance_borders(ids).astype(np.float32)
    edges[38:42, 40:80] = 0

    def count(**settings):
        return len(
            masks_of(PanopticLabeler(**settings)(classes.astype(np.int32), THINGS, edges), SHEEP)
        )

    assert count(gap=3) == 2
    assert count(gap=0) == 1


def test_edges_outside_a_class_do_not_matter():
    ids, classes = two_sheep()
    edges = instance_borders(ids).astype(np.float32)
    cluttered = np.where(classes == GRASS, 1, edges).astype(np.float32)
    edges[classes == GRASS] = 0

    assert (PanopticLabeler(gap=0)(classes, THINGS, edges).ids
            == PanopticLabeler(gap=0)(classes, THINGS, cluttered).ids).all()  # fmt: skip


def test_classes_that_touch_stay_apart():
    ids, _ = two_sheep()
    classes = np.where(ids == 1, SHEEP, np.where(ids == 2, DOG, VOID)).astype(np.int32)

    labels = PanopticLabeler()(classes, THINGS, np.zeros(SIZE, dtype=np.float32))

    assert labels.classes.tolist() == [SHEEP, DOG]
    assert (labels.ids == ids).all()


def test_what_edges_cut_off_goes_to_its_neighbor_if_small():
    ids, classes = two_sheep()
    edges = instance_borders(ids).astype(np.float32)
    edges[13:18, 13], edges[13:18, 17], edges[13, 13:18], edges[17, 13:18] = 1, 1, 1, 1  # an eye

    small = PanopticLabeler(gap=0, min_fragment=0.01)(classes, THINGS, edges)
    large = PanopticLabeler(gap=0, min_fragment=0.001)(classes, THINGS, edges)

    assert len(masks_of(small, SHEEP)) == 2
    assert len(masks_of(large, SHEEP)) == 3


def test_small_parts_are_void_and_small_stuff_is_not():
    _, classes = two_sheep()
    classes[2:4, 2:4] = SHEEP
    classes[35:37, 2:4] = DOG
    classes[20, 20] = GRASS

    labels = PanopticLabeler(min_area=0.003)(classes, THINGS)  # 7.2 pixels

    assert labels.classes.tolist() == [SHEEP, GRASS]
    assert not labels.ids[2:4, 2:4].any() and not labels.ids[35:37, 2:4].any()
    assert labels.ids[20, 20] == 2


def test_a_part_too_small_for_the_working_grid_is_kept():
    classes = np.full((400, 600), GRASS, dtype=np.int32)
    classes[100:103, 200:240] = SHEEP

    labels = PanopticLabeler(min_area=0)(classes, THINGS, np.zeros((400, 600), dtype=np.float32))

    assert (masks_of(labels, SHEEP)[0] == (classes == SHEEP)).all()


def test_parts_that_run_together_on_the_working_grid_stay_apart():
    classes = np.full((400, 600), GRASS, dtype=np.int32)
    classes[100:200, 100:200] = SHEEP
    classes[100:200, 201:300] = SHEEP

    labels = PanopticLabeler()(classes, THINGS, np.zeros((400, 600), dtype=np.float32))

    assert [mask.sum() for mask in masks_of(labels, SHEEP)] == [10000, 9900]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int32, (12, 15), elements=st.integers(-1, 3)),
    arrays(np.float32, (12, 15), elements=st.sampled_from([0, 0.1, 0.5, 1])),
    st.sampled_from([8, 128]),
)
def test_every_pixel_keeps_its_class_or_is_void(classes, edges, resolution):
    labels = PanopticLabeler(resolution=resolution, min_area=0.02)(classes, THINGS, edges)

    numbers = np.append(VOID, labels.classes)[labels.ids]
    assert ((numbers == classes) | (numbers == VOID)).all()
    assert (numbers == classes)[classes >= THINGS].all(), "stuff is never void"
    assert np.unique(labels.ids[labels.ids > 0]).tolist() == [*range(1, len(labels.classes) + 1)]
    assert len(set(labels.classes[labels.classes >= THINGS])) == (labels.classes >= THINGS).sum()


def test_an_image_without_classes_is_void():
    labels = PanopticLabeler()(np.full(SIZE, VOID, dtype=np.int32), THINGS, np.zeros(SIZE, "f4"))
    assert len(labels.classes) == 0 and not labels.ids.any()


def test_edges_all_over_leave_connected_parts():
    _, classes = two_sheep()
    labels = PanopticLabeler()(classes, THINGS, np.ones(SIZE, dtype=np.float32))
    assert labels.classes.tolist() == [SHEEP, GRASS]


def test_sizes_must_agree():
    _, classes = two_sheep()
    with pytest.raises(ValueError, match=r"edges \(4, 4\) and classes \(40, 60\)"):
        PanopticLabeler()(classes, THINGS, np.zeros((4, 4), dtype=np.float32))


@pytest.mark.parametrize(
    "name, value",
    [("threshold", 1), ("gap", -1), ("beta", 0), ("merge_iou", float("nan")), ("min_area", 2)],
)
def test_settings_have_ranges(name, value):
    with pytest.raises(ValueError, match=name):
        PanopticLabeler(**{name: value})


def test_a_config_builds_it():
    labeler = TASK_UTILS.build({"type": "PanopticLabeler", "gap": 2})
    assert labeler.settings()["gap"] == 2
