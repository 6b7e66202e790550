import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.test_ops.test_propagation import naive_propagation
from trace_mm.datasets import instance_borders
from trace_mm.panoptic import PanopticLabeler
from trace_mm.panoptic.presets import LABELER_PRESETS
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


def test_noise_that_edges_cut_off_goes_to_its_neighbor():
    """Six pixels by six; weak edges around them are noise, strong ones are an object's."""
    ids, classes = two_sheep()
    edges = instance_borders(ids).astype(np.float32)

    def count(strength, **settings):
        edges[13:21, 13], edges[13:21, 20], edges[13, 13:21], edges[20, 13:21] = [strength] * 4
        return len(
            masks_of(PanopticLabeler(preset="scenes", **settings)(classes, THINGS, edges), SHEEP)
        )

    assert count(0.78, gap=0) == 2
    assert count(0.78, gap=0, min_fragment=30) == 3
    assert count(1.0, gap=0) == 3
    assert count(1.0, gap=0, enclosed=1) == 2


def touching(count, size, cell=None):
    """Instance ids of equal objects in rows and columns that fill an image, or of squares."""
    rows = int(np.sqrt(count))
    columns = -(-count // rows)
    height, width = (cell, cell) if cell else ((size[0] - 8) / rows, (size[1] - 8) / columns)
    ids = np.zeros(size, dtype=int)
    for index in range(count):
        row, column = divmod(index, columns)
        top, left = round(4 + row * height), round(4 + column * width)
        bottom, right = round(4 + (row + 1) * height), round(4 + (column + 1) * width)
        ids[top:bottom, left:right] = index + 1
    return ids


@pytest.mark.parametrize("size", [(128, 128), (240, 320), (375, 500), (480, 640)])
@pytest.mark.parametrize("count, cell", [(2, None), (9, None), (20, None), (100, None), (4, 24),
                                         (9, 12), (36, 8)])  # fmt: skip
def test_many_equal_neighbors_are_told_apart(count, cell, size):
    ids = touching(count, size, cell)
    classes = np.where(ids > 0, SHEEP, VOID).astype(np.int32)

    labels = PanopticLabeler(steps=64)(classes, THINGS, instance_borders(ids).astype(np.float32))

    assert len(labels.classes) == count
    for number in range(1, count + 1):
        own = labels.ids[ids == number]
        assert iou(labels.ids == np.bincount(own).argmax(), ids == number) > 0.7


@pytest.mark.parametrize("count", [2, 12, 30])
def test_strips_are_told_apart(count):
    ids = np.zeros((240, 320), dtype=int)
    ids[10:230, 4:316] = np.arange(312) * count // 312 + 1
    classes = np.where(ids > 0, SHEEP, VOID).astype(np.int32)

    labels = PanopticLabeler(steps=64)(classes, THINGS, instance_borders(ids).astype(np.float32))

    assert len(labels.classes) == count


def test_a_small_thing_beside_a_large_one():
    ids = np.zeros((375, 500), dtype=int)
    ids[50:350, 50:450] = 1
    ids[100:124, 26:50] = 2
    classes = np.where(ids > 0, SHEEP, VOID).astype(np.int32)

    labels = PanopticLabeler(steps=64)(classes, THINGS, instance_borders(ids).astype(np.float32))

    assert len(labels.classes) == 2


def test_small_parts_are_void_and_small_stuff_is_not():
    _, classes = two_sheep()
    classes[2:4, 2:4] = SHEEP
    classes[35:37, 2:4] = DOG
    classes[20, 20] = GRASS

    labels = PanopticLabeler(min_area=7)(classes, THINGS)

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
    labels = PanopticLabeler(resolution=resolution, min_area=4)(classes, THINGS, edges)

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
    [("threshold", 1), ("gap", -1), ("beta", 0), ("merge_iou", float("nan")), ("min_area", -1)],
)
def test_settings_have_ranges(name, value):
    with pytest.raises(ValueError, match=name):
        PanopticLabeler(**{name: value})


def naive_components(mask):
    """Parts of a mask whose pixels share sides, by flooding."""
    parts, left = [], {tuple(pixel) for pixel in np.argwhere(mask)}
    while left:
        part = np.zeros(mask.shape, dtype=bool)
        waiting = [left.pop()]
        while waiting:
            row, column = waiting.pop()
            part[row, column] = True
            for beside in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if beside in left:
                    left.remove(beside)
                    waiting.append(beside)
        parts.append(part)
    return parts


def naive_paper_objects(classes, num_things, edges, steps):
    """Alg. 4 for each class of things: its objects' walks, 0 where they do not reach."""
    objects = []
    for number in range(num_things):
        pieces = naive_components((classes == number) & (edges <= 0.5))
        if not pieces:
            continue
        walks = naive_propagation(np.stack(pieces), edges, 5, 10, steps)
        groups = [[walk * (walk >= 0.5 * walk.max())] for walk in walks]
        while True:
            masks = [np.any([walk > 0 for walk in group], axis=0) for group in groups]
            pairs = [(iou(masks[i], masks[j]), i, j) for j in range(len(masks)) for i in range(j)]
            if not pairs or max(pairs)[0] <= 0.5:
                break
            _, i, j = max(pairs)
            groups[i] += groups.pop(j)
        objects += [(number, np.max(group, axis=0)) for group in groups]
    return objects


@pytest.mark.parametrize("seed", range(6))
def test_the_paper_by_an_independent_implementation(seed):
    rng = np.random.default_rng(seed)
    classes = np.kron(rng.integers(-1, 3, (3, 4)), np.ones((5, 5), dtype=int)).astype(np.int32)
    edges = rng.random(classes.shape).astype(np.float32) * 0.4
    edges[rng.integers(0, 15)], edges[:, rng.integers(0, 20)] = 1, 0.9

    labels = PanopticLabeler(preset="paper", steps=32)(classes, THINGS, edges)

    objects = naive_paper_objects(classes, THINGS, edges, 32)
    found = np.append(VOID, labels.classes)[labels.ids]
    nothing = np.ones(classes.shape, dtype=bool)
    for _, walk in objects:
        nothing &= walk == 0
    assert (found[nothing] == np.where(classes >= THINGS, classes, VOID)[nothing]).all()
    walks = np.stack([walk for _, walk in objects])
    second, best = np.sort(np.concatenate([np.zeros((1, *edges.shape)), walks]), axis=0)[-2:]
    clear = best > 1.01 * second  # rounding decides the others
    winner = walks.argmax(0)
    kinds = np.array([number for number, _ in objects])[winner]
    assert clear.sum() > 50
    assert (found == kinds)[clear].all()
    pairs = set(zip(labels.ids[clear].tolist(), winner[clear].tolist(), strict=True))
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs})


def test_the_preset_holds_for_what_is_not_given():
    paper = PanopticLabeler(preset="paper", beta=4).settings()
    assert (paper["beta"], paper["gap"], paper["within_class"]) == (4, 0, False)
    assert PanopticLabeler().settings() == dict(LABELER_PRESETS["photos"])
    with pytest.raises(ValueError, match="preset must be one of photos, scenes, paper, got 'ours'"):
        PanopticLabeler(preset="ours")


def test_a_config_builds_it():
    labeler = TASK_UTILS.build({"type": "PanopticLabeler", "gap": 2})
    assert labeler.settings()["gap"] == 2


def test_a_weak_border_cuts_scenes_only():
    ids, classes = two_sheep()
    edges = 0.45 * instance_borders(ids).astype(np.float32)

    def count(**settings):
        return len(masks_of(PanopticLabeler(**settings)(classes, THINGS, edges), SHEEP))

    assert count(preset="scenes") == 2
    assert count(preset="photos") == 1
    assert count(preset="photos", min_border=0.4) == 2


def test_a_piece_that_something_cuts_off_joins_its_object():
    _, classes = two_sheep()
    classes[10:30, 40:42] = DOG  # stands in front of the second sheep
    classes[10:12, 42:52], classes[15:30, 42:52] = GRASS, GRASS

    def sheep(**settings):
        return masks_of(PanopticLabeler(**settings)(classes, THINGS), SHEEP)

    assert len(sheep(preset="scenes")) == 2
    assert len(sheep(preset="scenes", join=0.05, join_reach=0.1)) == 1
    assert len(sheep(preset="scenes", join=0.04, join_reach=0.1)) == 2
    assert len(sheep(preset="scenes", join=0.05, join_reach=0.04)) == 2
