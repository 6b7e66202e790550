"""Overlaps, against a loop over masks and pixels."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from projects.sam_seeds.overlaps import distinct, settle

SIZE = (4, 5)
THINGS = 2


def settled_pixel_by_pixel(masks, classes, scores, ground, least_share, min_area):
    """The class of each pixel, and which pixels belong together."""
    pixels = [(row, column) for row in range(SIZE[0]) for column in range(SIZE[1])]
    owner = {}
    order = sorted(range(len(masks)), key=lambda k: (classes[k] >= THINGS, -scores[k], k))
    for k in order:
        own = [p for p in pixels if masks[k][p]]
        left = [p for p in own if p not in owner]
        if len(left) >= least_share * len(own) and len(left) >= max(min_area, 1):
            owner.update(dict.fromkeys(left, k))
    kinds = {p: classes[owner[p]] for p in owner}
    kinds |= {p: ground[p] for p in pixels if p not in owner and ground[p] >= THINGS}
    groups = {}
    for p, kind in kinds.items():
        groups.setdefault(("thing", owner[p]) if kind < THINGS else ("stuff", kind), set()).add(p)
    return kinds, groups


@given(
    arrays(bool, st.tuples(st.integers(0, 5), *map(st.just, SIZE))),
    st.data(),
    arrays(np.int32, SIZE, elements=st.integers(-1, 3)),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 4),
)
def test_settle(masks, data, ground, least_share, min_area):
    count = len(masks)
    classes = data.draw(arrays(np.int64, count, elements=st.integers(0, 3)))
    scores = data.draw(arrays(float, count, elements=st.sampled_from([0.2, 0.5, 0.9])))
    labels = settle(masks, classes, scores, THINGS, ground, least_share, min_area)
    kinds, groups = settled_pixel_by_pixel(masks, classes, scores, ground, least_share, min_area)
    for row, column in np.ndindex(SIZE):
        number = labels.ids[row, column]
        kind = -1 if number == 0 else labels.classes[number - 1]
        assert kind == kinds.get((row, column), -1)
    present = np.unique(labels.ids[labels.ids > 0])
    found = [set(zip(*np.nonzero(labels.ids == n), strict=True)) for n in present]
    assert sorted(map(sorted, found)) == sorted(map(sorted, groups.values()))
    assert labels.classes.tolist() == sorted(labels.classes.tolist())
    assert present.tolist() == list(range(1, len(labels.classes) + 1))


def test_a_duplicate_is_left_out_and_a_small_overlap_is_cut():
    masks = np.zeros((3, 4, 10), bool)
    masks[0, :, :5] = True
    masks[1, :, :6] = True  # nearly the same, with a lower score
    masks[2, :, 4:10] = True  # overlaps in one column
    ground = np.full((4, 10), 2, dtype=np.int32)
    labels = settle(masks, np.array([0, 0, 1]), np.array([0.9, 0.5, 0.4]), THINGS, ground)
    assert labels.classes.tolist() == [0, 1]
    assert (labels.ids[0] == [1] * 5 + [2] * 5).all()


@given(arrays(bool, st.tuples(st.integers(0, 6), st.just(3), st.just(3))), st.data())
def test_distinct(masks, data):
    scores = data.draw(arrays(float, len(masks), elements=st.sampled_from([0.1, 0.5, 0.9])))
    expected = []
    for k in sorted(range(len(masks)), key=lambda k: (-scores[k], k)):
        ious = [(masks[k] & masks[j]).sum() / (masks[k] | masks[j]).sum() for j in expected]
        if masks[k].any() and max(ious, default=0) <= 0.5:
            expected.append(k)
    assert distinct(masks, scores, 0.5) == expected
