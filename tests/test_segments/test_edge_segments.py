import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.registry import TASK_UTILS
from trace_mm.segments import EdgeSegments


def rectangles(shape=(60, 80)):
    """Edges around two rectangles, a strong one and a weak one, and what they enclose."""
    edges = np.zeros(shape, dtype=np.float32)
    insides = np.zeros((2, *shape), dtype=bool)
    for number, (box, strength) in enumerate(
        ((np.s_[10:40, 8:30], 0.9), (np.s_[15:50, 42:70], 0.5))
    ):
        insides[number][box] = True
        rim = insides[number] & ~np.roll(insides[number], (1, 1), (0, 1))
        rim |= insides[number] & ~np.roll(insides[number], (-1, -1), (0, 1))
        edges[rim] = strength
    return edges, insides


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def found(edges, insides, **settings):
    """The index of the segment that is each inside, and the segments."""
    segments = EdgeSegments(**settings)(edges)
    overlaps = np.array([[iou(mask, inside) for mask in segments.masks] for inside in insides])
    assert overlaps.max(axis=1).min() > 0.85
    return overlaps.argmax(axis=1), segments


def test_what_edges_enclose_is_a_segment_and_stronger_edges_score_higher():
    edges, insides = rectangles()
    (strong, weak), segments = found(edges, insides)
    assert segments.scores[strong] > segments.scores[weak]
    assert (np.diff(segments.scores) <= 0).all()
    assert ((segments.scores > 0) & (segments.scores <= 1)).all()
    assert (segments.labels == 1).all()


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_no_two_masks_are_nearly_the_same(seed):
    edges = np.random.default_rng(seed).random((24, 30), dtype=np.float32)
    masks = EdgeSegments(min_region=4, max_iou=0.6)(edges).masks
    assert all(iou(a, b) <= 0.6 for i, a in enumerate(masks) for b in masks[:i])


@given(st.integers(0, 52), st.sampled_from([(0,), (1,), (0, 1)]))  # none of these has ties
@settings(max_examples=20, deadline=None)
def test_flips_commute(seed, axes):
    edges = np.random.default_rng(seed).random((24, 30), dtype=np.float32)
    segments = EdgeSegments(min_region=4, number=1000)
    plain = segments(edges)
    flipped = segments(np.flip(edges, axes).copy())
    masks = (np.flip(mask, axes).tobytes() for mask in plain.masks)
    expected = dict(zip(masks, plain.scores, strict=True))
    assert {mask.tobytes() for mask in flipped.masks} == expected.keys()
    for mask, score in zip(flipped.masks, flipped.scores, strict=True):
        assert score == pytest.approx(expected[mask.tobytes()], abs=1e-4)


def test_the_same_input_gives_the_same_masks():
    edges, _ = rectangles()  # nearly all of it is ties
    one, other = EdgeSegments()(edges), EdgeSegments()(edges.copy(order="F"))
    assert (one.masks == other.masks).all()
    assert (one.scores == other.scores).all()


def test_large_maps_are_cut_on_a_smaller_grid():
    edges, insides = rectangles()
    large = np.kron(edges, np.ones((4, 4), dtype=np.float32))
    big = np.kron(insides, np.ones((4, 4), dtype=bool))
    indices, segments = found(large, big, resolution=80)
    assert len(set(indices)) == 2
    assert segments.size == large.shape


def test_settings_limit_what_is_returned():
    edges, _ = rectangles()
    everything = EdgeSegments()(edges)
    assert len(EdgeSegments(number=1)(edges)) == 1
    assert len(EdgeSegments(min_score=float(everything.scores[0]))(edges)) == 1
    assert len(EdgeSegments(min_score=1.0)(edges)) == 0


def test_an_image_without_edges_has_no_segments():
    assert EdgeSegments()(np.zeros((20, 30), dtype=np.float32)).masks.shape == (0, 20, 30)
    assert len(EdgeSegments()(np.zeros((1, 1), dtype=np.float32))) == 0


def test_it_is_built_from_a_config_and_says_its_settings():
    built = TASK_UTILS.build({"type": "trace_mm.EdgeSegments", "number": 7})
    assert built.settings()["number"] == 7
    assert EdgeSegments(**built.settings()).settings() == built.settings()


@pytest.mark.parametrize(
    "setting",
    [{"number": 0}, {"max_iou": 1.5}, {"resolution": 2}, {"smoothing": -1.0}, {"min_region": 0}],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        EdgeSegments(**setting)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (np.zeros((2, 3, 3), np.float32), r"\(H, W\)"),
        (np.full((2, 3), 2, np.float32), r"\[0, 1\]"),
        (np.full((2, 3), np.nan, np.float32), r"\[0, 1\]"),
    ],
)
def test_bad_input_is_refused(edges, message):
    with pytest.raises(ValueError, match=message):
        EdgeSegments()(edges)
