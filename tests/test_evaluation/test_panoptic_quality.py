"""PQ on cases counted by hand, against its definition in loops, and against torchmetrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trace_mm.evaluation.panoptic_quality import (
    Quality,
    SegmentCounts,
    count_segments,
    panoptic_quality,
    sum_counts,
)

CAT, DOG, GRASS = 1, 2, 3
THINGS = {CAT, DOG}


def _row(*parts: tuple[int, int]) -> np.ndarray:
    """Ids of one row of pixels from pairs (id, how many)."""
    return np.repeat([number for number, _ in parts], [length for _, length in parts])[None]


def test_identical_maps_are_perfect():
    ids = _row((5, 3), (0, 2), (9, 4), (7, 1))
    categories = {5: CAT, 9: GRASS, 7: CAT}
    counts = count_segments(ids, categories, ids, categories)
    assert counts == {CAT: SegmentCounts(2, 2, 0, 0), GRASS: SegmentCounts(1, 1, 0, 0)}
    scores = panoptic_quality(counts, THINGS)
    assert scores.all == Quality(1, 1, 1, 2)
    assert scores.percentages() == dict.fromkeys(
        ("PQ", "SQ", "RQ", "PQ_th", "SQ_th", "RQ_th", "PQ_st", "SQ_st", "RQ_st"), 100
    )


def test_an_iou_of_one_half_is_no_match():
    true, predicted = _row((1, 6), (0, 2)), _row((1, 3), (0, 5))
    assert count_segments(true, {1: CAT}, predicted, {1: CAT}) == {CAT: SegmentCounts(0, 0, 1, 1)}
    predicted = _row((1, 4), (0, 4))
    assert count_segments(true, {1: CAT}, predicted, {1: CAT}) == {
        CAT: SegmentCounts(4 / 6, 1, 0, 0)
    }


def test_segments_of_other_categories_do_not_match():
    ids = _row((1, 4))
    counts = count_segments(ids, {1: CAT}, ids, {1: DOG})
    assert counts == {CAT: SegmentCounts(0, 0, 0, 1), DOG: SegmentCounts(0, 0, 1, 0)}


def test_void_of_the_truth_is_left_out_of_the_union():
    true, predicted = _row((1, 4), (0, 6)), _row((1, 10))
    assert count_segments(true, {1: CAT}, predicted, {1: CAT}) == {CAT: SegmentCounts(1, 1, 0, 0)}


def test_void_of_the_prediction_counts_against_it():
    true, predicted = _row((1, 10)), _row((1, 4), (0, 6))
    assert count_segments(true, {1: CAT}, predicted, {1: CAT}) == {CAT: SegmentCounts(0, 0, 1, 1)}


def test_predictions_mostly_in_void_are_ignored():
    true = _row((0, 6), (1, 10))
    half_void = _row((0, 1), (2, 10), (0, 5))
    assert count_segments(true, {1: GRASS}, half_void, {2: CAT}) == {
        CAT: SegmentCounts(0, 0, 1, 0),
        GRASS: SegmentCounts(0, 0, 0, 1),
    }
    mostly_void = _row((2, 11), (0, 5))
    assert count_segments(true, {1: GRASS}, mostly_void, {2: CAT}) == {
        GRASS: SegmentCounts(0, 0, 0, 1)
    }


def test_a_crowd_is_neither_found_nor_missed():
    true, crowd = _row((1, 8), (2, 2)), {1}
    categories = {1: CAT, 2: GRASS}
    for predicted in (_row((4, 8), (5, 2)), _row((4, 4), (6, 4), (5, 2)), _row((0, 8), (5, 2))):
        found = {number: CAT for number in (4, 6) if number in predicted} | {5: GRASS}
        counts = count_segments(true, categories, predicted, found, crowd)
        assert counts == {GRASS: SegmentCounts(1, 1, 0, 0)}


def test_a_crowd_of_another_category_excuses_nothing():
    true, predicted = _row((1, 8)), _row((4, 8))
    counts = count_segments(true, {1: CAT}, predicted, {4: DOG}, crowds=[1])
    assert counts == {DOG: SegmentCounts(0, 0, 1, 0)}


def test_void_and_crowd_together_excuse():
    true = _row((0, 3), (1, 3), (2, 4))
    counts = count_segments(true, {1: CAT, 2: GRASS}, _row((4, 10)), {4: CAT}, crowds={1})
    assert counts == {GRASS: SegmentCounts(0, 0, 0, 1)}


def test_a_merged_prediction_matches_the_larger_segment():
    true, predicted = _row((1, 6), (2, 4)), _row((1, 10))
    counts = count_segments(true, {1: CAT, 2: CAT}, predicted, {1: CAT})
    assert counts == {CAT: SegmentCounts(0.6, 1, 0, 1)}
    assert panoptic_quality(counts, THINGS).all == Quality(0.6 / 1.5, 0.6, 1 / 1.5, 1)


def test_true_segments_without_pixels_are_missed():
    ids = _row((1, 4))
    counts = count_segments(ids, {1: CAT, 2: CAT}, ids, {1: CAT})
    assert counts == {CAT: SegmentCounts(1, 1, 0, 1)}


@pytest.mark.parametrize(
    ("true", "true_categories", "predicted", "categories", "cause"),
    [
        (_row((1, 3)), {1: CAT}, _row((1, 4)), {1: CAT}, r"\(1, 4\) \(H, W\), .* \(1, 3\)"),
        (_row((1, 3)), {}, _row((1, 3)), {1: CAT}, r"true segments without a category: \[1\]"),
        (_row((1, 3)), {1: CAT}, _row((2, 3)), {1: CAT}, r"predicted segments without .* \[2\]"),
        (_row((1, 3)), {1: CAT}, _row((1, 3)), {1: CAT, 2: CAT}, r"predicted segments \[2\]"),
        (_row((-1, 3)), {1: CAT}, _row((1, 3)), {1: CAT}, "must lie in 0 to"),
    ],
)
def test_what_does_not_fit_is_refused(true, true_categories, predicted, categories, cause):
    with pytest.raises(ValueError, match=cause):
        count_segments(true, true_categories, predicted, categories)


def test_groups_without_segments_have_no_score():
    counts = {CAT: SegmentCounts(0.8, 1, 1, 0), DOG: SegmentCounts()}
    scores = panoptic_quality(counts, THINGS)
    assert scores.stuff is None and set(scores.by_category) == {CAT}
    assert scores.things == scores.all
    assert set(scores.percentages()) == {"PQ", "SQ", "RQ", "PQ_th", "SQ_th", "RQ_th"}
    assert panoptic_quality({GRASS: SegmentCounts(0, 0, 1, 0)}, THINGS).things is None
    assert panoptic_quality({}, THINGS).percentages() == {}


def test_images_are_summed_before_they_are_scored():
    images = [{CAT: SegmentCounts(0.9, 1, 0, 0)}, {CAT: SegmentCounts(0.0, 0, 1, 2)}, {}]
    total = sum_counts(images)
    assert total == {CAT: SegmentCounts(0.9, 1, 1, 2)}
    assert panoptic_quality(total, THINGS).all == Quality(0.9 / 2.5, 0.9, 1 / 2.5, 1)


@given(st.lists(st.floats(0.5, 1), max_size=20), st.randoms())
def test_the_order_of_images_does_not_matter(ious, random):
    images = [{CAT: SegmentCounts(iou, 1, 0, 0)} for iou in ious]
    total = sum_counts(images)
    random.shuffle(images)
    assert sum_counts(images) == total


@st.composite
def _panoptic(draw, shape=(4, 6)) -> tuple[np.ndarray, dict[int, int]]:
    """A map of few segments, some of them void, and their categories."""
    ids = draw(arrays.arrays(np.int32, shape, elements=st.integers(0, 4)))
    present = [number for number in np.unique(ids).tolist() if number]
    return ids, {number: draw(st.sampled_from([CAT, DOG, GRASS])) for number in present}


@settings(max_examples=200)
@given(truth=_panoptic(), prediction=_panoptic(), crowds=st.sets(st.integers(1, 4)))
def test_counts_follow_the_definition(truth, prediction, crowds):
    counts = count_segments(*truth, *prediction, crowds)
    assert counts == _counts_by_definition(*truth, *prediction, crowds)


def _counts_by_definition(true_ids, true_categories, ids, categories, crowds):
    """Every pair of masks compared, as the paper of PQ and COCO's rules say."""
    ious, false, missed = [], [], []
    matched, found = set(), set()
    for true, category in true_categories.items():
        for predicted in categories:
            if true in crowds or categories[predicted] != category:
                continue
            first, second = true_ids == true, (ids == predicted) & (true_ids != 0)
            iou = (first & second).sum() / (first | second).sum()
            if iou > 0.5:
                ious.append((category, iou))
                found.add(true)
                matched.add(predicted)
    for true, category in true_categories.items():
        if true not in found and true not in crowds:
            missed.append(category)
    for predicted, category in categories.items():
        mask = ids == predicted
        excused = true_ids == 0
        for true in crowds:
            if true_categories.get(true) == category:
                excused |= true_ids == true
        if predicted not in matched and not (mask & excused).sum() / mask.sum() > 0.5:
            false.append(category)
    return {
        category: SegmentCounts(
            pytest.approx(sum(iou for key, iou in ious if key == category)),
            sum(key == category for key, _ in ious),
            false.count(category),
            missed.count(category),
        )
        for category in {*false, *missed, *(key for key, _ in ious)}
    }


@st.composite
def _colours(draw, categories: list[int]) -> np.ndarray:
    """Pairs (category, instance) of each pixel, int64 (4, 6, 2); instances of things only."""
    shape = (4, 6)
    category = draw(arrays.arrays(np.int64, shape, elements=st.sampled_from(categories)))
    instance = draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 1)))
    return np.stack([category, np.where(category == GRASS, 0, instance)], axis=2)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(_colours([0, CAT, DOG, GRASS]), _colours([CAT, DOG, GRASS])),
        min_size=1,
        max_size=3,
    )
)
def test_scores_are_those_of_torchmetrics(pairs):
    """Where both define them: it knows no crowds, and forgives what the prediction leaves void."""
    detection = pytest.importorskip("torchmetrics.detection")
    torch = pytest.importorskip("torch")
    options = {"things": THINGS, "stuffs": {GRASS}, "return_sq_and_rq": True}
    mean = detection.PanopticQuality(**options)
    by_class = detection.PanopticQuality(**options, return_per_class=True)
    images = []
    for true, predicted in pairs:
        for metric in (mean, by_class):
            metric.update(torch.from_numpy(predicted)[None], torch.from_numpy(true)[None])
        images.append(count_segments(*_ids_of(true), *_ids_of(predicted)))
    scores = panoptic_quality(sum_counts(images), THINGS)
    nothing = Quality(0, 0, 0)
    for category, theirs in zip((CAT, DOG, GRASS), by_class.compute(), strict=True):
        ours = scores.by_category.get(category, nothing)[:3]
        assert ours == pytest.approx(theirs.tolist())
    if scores.all is not None:
        assert scores.all[:3] == pytest.approx(mean.compute().tolist())


def _ids_of(colours: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """The same map as segment ids, category 0 being void."""
    category, instance = colours[..., 0], colours[..., 1]
    ids = np.where(category > 0, 10 * category + instance, 0)
    return ids, {number: number // 10 for number in np.unique(ids).tolist() if number}
