from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trace_mm.ops import (
    compact_labels,
    connected_parts,
    fill_labels,
    join_small_labels,
    merge_small_labels,
)

maps = arrays(np.int32, st.tuples(st.integers(1, 8), st.integers(1, 9)), elements=st.integers(0, 4))


def sides(row, column, shape):
    for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            yield y, x


def reachable(mask, start):
    """Pixels of a mask that one gets to through sides."""
    seen, queue = {start}, deque([start])
    while queue:
        for pixel in sides(*queue.popleft(), mask.shape):
            if mask[pixel] and pixel not in seen:
                seen.add(pixel)
                queue.append(pixel)
    return seen


@given(maps)
def test_parts_are_what_can_be_reached(labels):
    mask = labels > 0
    parts = connected_parts(mask)
    assert ((parts > 0) == mask).all()
    for start in map(tuple, np.argwhere(mask)):
        own = set(map(tuple, np.argwhere(parts == parts[start])))
        assert own == reachable(mask, start)


@given(maps, st.data())
def test_holes_take_the_nearest_label_of_their_part(labels, data):
    mask = data.draw(arrays(bool, labels.shape))
    filled = fill_labels(labels, mask)
    assert (filled[~mask] == 0).all()
    for pixel in map(tuple, np.argwhere(mask)):
        known = [other for other in reachable(mask, pixel) if labels[other]]
        if labels[pixel]:
            assert filled[pixel] == labels[pixel]
        elif not known:
            assert filled[pixel] == 0
        else:
            distances = [np.hypot(*np.subtract(pixel, other)) for other in known]
            nearest = {labels[o] for o, d in zip(known, distances, strict=True)
                       if d <= min(distances) + 1e-9}  # fmt: skip
            assert filled[pixel] in nearest


def naive_merge(labels, least):
    labels = labels.copy()
    while True:
        areas = {n: int((labels == n).sum()) for n in np.unique(labels[labels > 0]).tolist()}
        borders = {n: dict.fromkeys(areas, 0) for n in areas}
        for row, column in np.argwhere(labels > 0).tolist():
            own = int(labels[row, column])
            for pixel in sides(row, column, labels.shape):
                other = int(labels[pixel])
                if other and other != own:
                    borders[own][other] += 1
        small = [n for n in areas if areas[n] < least and any(borders[n].values())]
        if not small:
            return labels
        label = min(small, key=lambda n: (areas[n], n))
        beside = [n for n in areas if borders[label][n]]
        target = max(beside, key=lambda n: (borders[label][n], areas[n], -n))
        labels[labels == label] = target


@settings(max_examples=200)
@given(maps, st.integers(0, 12))
def test_small_segments_join_their_longest_neighbor(labels, least):
    assert (merge_small_labels(labels, least) == naive_merge(labels, least)).all()


def test_a_small_segment_without_neighbors_stays():
    labels = np.array([[1, 0, 2], [1, 0, 0]], dtype=np.int32)
    assert (merge_small_labels(labels, 10) == labels).all()


def test_merging_goes_on_until_all_are_large_enough():
    labels = np.array([[1, 2, 2, 3, 3, 3, 3]], dtype=np.int32)
    assert merge_small_labels(labels, 2).tolist() == [[2, 2, 2, 3, 3, 3, 3]]
    assert merge_small_labels(labels, 4).tolist() == [[3] * 7]


@given(arrays(np.int32, (4, 5), elements=st.sampled_from([0, 2, 3, 7])))
def test_compact_labels_number_without_a_gap(labels):
    compact = compact_labels(labels)
    present = [value for value in np.unique(labels).tolist() if value]
    for number, value in enumerate(present, start=1):
        np.testing.assert_array_equal(compact == number, labels == value)
    assert ((compact == 0) == (labels == 0)).all()


def test_each_label_may_have_its_own_limit():
    labels = np.array([[1, 1, 1, 2, 3, 3, 3, 3]], dtype=np.int32)
    assert merge_small_labels(labels, np.array([0.0, 4, 2, 2])).tolist() == [[3] * 8]
    assert merge_small_labels(labels, np.array([0.0, 2, 0, 2])).tolist() == labels.tolist()


def naive_join(labels, share, reach):
    """By loops over pairs of pixels."""
    pixels = {int(one): np.argwhere(labels == one) for one in np.unique(labels) if one}

    def apart(one, other):
        return min(np.hypot(*(a - b)) for a in pixels[one] for b in pixels[other])

    def target(label):
        others = [one for one in pixels if one != label]
        if any(apart(label, one) == 1 for one in others):
            return label
        area = len(pixels[label])
        large = [one for one in others if area < share * len(pixels[one])]
        near = [(apart(label, one), -len(pixels[one]), one) for one in large]
        near = [one for one in near if one[0] <= reach]
        return target(min(near)[2]) if near else label

    joined = np.zeros_like(labels)
    for label in pixels:
        joined[labels == label] = target(label)
    return joined


@given(maps, st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.sampled_from([0.0, 1.5, 2.0, 3.0]))
@settings(deadline=None)
def test_small_segments_that_stand_alone_join_what_is_near(labels, share, reach):
    assert (join_small_labels(labels, share, reach) == naive_join(labels, share, reach)).all()
