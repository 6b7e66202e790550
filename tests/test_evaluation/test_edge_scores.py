"""Counts and scores against a slow version of the whole protocol, and cases known by hand."""

import json

import numpy as np
import pytest
from scipy import ndimage

from trace_mm.evaluation import CountingSettings, count_edges, evaluate_edges, summarize
from trace_mm.evaluation.counting_pool import CountingPool
from trace_mm.ops import match_edges, suppress_non_maxima, thin


def noisy_images(number, annotators=2, size=(30, 37)):
    """Soft maps and the true edges they are a noisy version of."""
    rng = np.random.default_rng(number)
    images = []
    for _ in range(number):
        targets = np.zeros((annotators, *size), dtype=bool)
        for target in targets:
            row, column = rng.integers(8, 20, 2)
            target[row, 3:-3] = target[3:-3, column] = True
        soft = ndimage.gaussian_filter(targets.mean(axis=0) + 0.2 * rng.random(size), 1)
        images.append((np.clip(soft / soft.max(), 0, 1).astype(np.float32), targets))
    return images


def slow_counts(edges, targets, tolerance, thresholds):
    """Counts at each threshold, every step done anew, with ``match_edges`` for each annotator."""
    suppressed = suppress_non_maxima(edges)
    radius = tolerance * np.hypot(*edges.shape)
    rows = []
    for k in range(1, thresholds + 1):
        skeleton = thin(suppressed >= np.float32(k / (thresholds + 1)))
        matches = [match_edges(skeleton, target, radius) for target in targets]
        union = np.any([matched for matched, _ in matches], axis=0)
        recalled = sum(int(matched.sum()) for _, matched in matches)
        rows.append((int(skeleton.sum()), int(union.sum()), recalled))
    return np.array(rows).T


def near(mask, distance):
    """Pixels within a distance of a mask, from scipy's distance transform."""
    return ndimage.distance_transform_edt(~mask) <= distance if mask.any() else mask


@pytest.mark.parametrize("tolerance", [0.0075, 0.03, 0.08])
def test_counts_match_the_slow_protocol(tolerance):
    for edges, targets in noisy_images(3):
        settings = CountingSettings(tolerances=(0.02, tolerance), thresholds=19)
        counts = count_edges(edges, targets, settings)
        predictions, matched_predictions, matched_targets = slow_counts(
            edges, targets, tolerance, 19
        )
        np.testing.assert_array_equal(counts.predictions, predictions)
        np.testing.assert_array_equal(counts.matched_predictions[1], matched_predictions)
        np.testing.assert_array_equal(counts.matched_targets[1], matched_targets)
        assert counts.targets == targets.sum()


def test_skeleton_counts_match_a_distance_transform():
    tolerance = 0.05
    for edges, targets in noisy_images(3):
        counts = count_edges(edges, targets, CountingSettings((tolerance,), thresholds=9))
        radius = tolerance * np.hypot(*edges.shape)
        suppressed = suppress_non_maxima(edges)
        for k in range(9):
            skeleton = thin(suppressed >= np.float32((k + 1) / 10))
            hit = skeleton & near(targets.any(axis=0), radius)
            assert counts.near_predictions[0, k] == hit.sum()
            around = near(skeleton, radius)
            found = sum(int((thin(target) & around).sum()) for target in targets)
            assert counts.near_target_skeleton[0, k] == found


def test_perfect_edges_score_one():
    target = np.zeros((40, 50), dtype=bool)
    target[20, 8:42] = True
    scores = evaluate_edges([target.astype(np.float32)], [target[None]])
    for name in ("ods", "ois", "precision", "recall", "cldice"):
        assert getattr(scores, name) == pytest.approx(1.0), name
    assert scores.images == 1
    assert scores.image_f == pytest.approx([1.0])


def test_scores_by_hand():
    """Half of the target is found, and a third of what is predicted is wrong."""
    target = np.zeros((60, 60), dtype=bool)
    target[20, 10:50] = True
    edges = np.zeros((60, 60), dtype=np.float32)
    edges[20, 10:30] = 0.8  # 20 pixels, right
    edges[40, 10:20] = 0.8  # 10 pixels, wrong
    settings = CountingSettings(suppress=False)
    scores = summarize([count_edges(edges, target[None], settings)], settings)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(1 / 2)
    assert scores.ods == pytest.approx(4 / 7)
    # Skeletons count as found by distance alone: not even one pixel beyond the end is (radius 0.6).
    assert scores.cldice == pytest.approx(4 / 7)
    wider = CountingSettings(tolerances=(0.05,), suppress=False)  # radius 4.2
    scores = summarize([count_edges(edges, target[None], wider)], wider)
    assert scores.recall == pytest.approx(1 / 2)
    assert scores.cldice == pytest.approx(2 / (3 / 2 + 40 / 24))


def test_ods_takes_one_threshold_and_ois_each_images_own():
    target = np.zeros((40, 40), dtype=bool)
    target[20, 10:30] = True
    clutter = np.zeros((40, 40), dtype=bool)
    clutter[30, 10:30] = True
    settings = CountingSettings(suppress=False)
    weak = np.where(target, 0.3, 0).astype(np.float32)
    strong = np.where(target, 0.9, np.where(clutter, 0.5, 0)).astype(np.float32)
    counts = [count_edges(edges, target[None], settings) for edges in (weak, strong)]
    scores = summarize(counts, settings)
    assert scores.ois == pytest.approx(1.0)
    assert scores.ods == pytest.approx(0.8)  # both lines and the clutter: precision 2/3, recall 1
    assert scores.image_threshold == pytest.approx([0.3, 0.9], abs=0.011)
    # The curve goes from (0, 0), no prediction, by (1/2, 1) to (1, 2/3).
    assert scores.ap == pytest.approx(0.5 * 1 / 2 + 0.5 * 5 / 6, abs=0.01)


def test_several_annotators():
    """A prediction is right if any annotator has it; each annotator's edges must be recalled."""
    targets = np.zeros((2, 40, 40), dtype=bool)
    targets[0, 10, 10:30] = True
    targets[1, 30, 10:30] = True
    edges = targets.any(axis=0).astype(np.float32)
    settings = CountingSettings(suppress=False)
    counts = count_edges(edges, targets, settings)
    assert counts.matched_predictions[0, 0] == counts.predictions[0] == 40
    assert counts.matched_targets[0, 0] == counts.targets == 40
    counts = count_edges(targets[0].astype(np.float32), targets, settings)
    assert counts.matched_predictions[0, 0] == counts.predictions[0] == 20
    assert counts.matched_targets[0, 0] == 20


def test_ods_grows_with_tolerance():
    images = noisy_images(4)
    scores = evaluate_edges(
        [edges for edges, _ in images],
        [targets for _, targets in images],
        tolerance=0.02,
        tolerances=(0.0, 0.04, 0.02),
    )
    assert list(scores.ods_by_tolerance) == [0.02, 0.0, 0.04]
    by_tolerance = scores.ods_by_tolerance
    assert by_tolerance[0.0] <= by_tolerance[0.02] <= by_tolerance[0.04]
    assert by_tolerance[0.02] == scores.ods


@pytest.mark.parametrize(("edges", "targets"), [(0, 0), (0, 1), (1, 0)])
def test_empty_maps(edges, targets):
    prediction = np.zeros((20, 20), dtype=np.float32)
    target = np.zeros((1, 20, 20), dtype=bool)
    prediction[10, 5:15] = edges
    target[0, 12, 5:15] = targets
    scores = evaluate_edges([prediction], [target])
    assert scores.ods == scores.ois == scores.ap == 0
    assert scores.cldice == (1 if edges == targets == 0 else 0)


def test_workers_do_not_change_anything():
    images = noisy_images(5)
    predictions, targets = zip(*images, strict=True)
    alone = evaluate_edges(predictions, targets, thresholds=9, workers=1)
    together = evaluate_edges(predictions, targets, thresholds=9, workers=2)
    assert alone == together
    json.dumps(alone.to_dict())


def test_error_in_a_worker_names_the_image():
    pool = CountingPool(CountingSettings(), workers=2)
    with pool, pytest.raises(ValueError, match="image 7: edge map is"):
        pool.submit(np.zeros((3, 4)), np.zeros((1, 4, 3)), name="image 7")
        pool.results()


def test_bad_input():
    with pytest.raises(ValueError, match="no image"):
        evaluate_edges([], [])
    with pytest.raises(ValueError, match="shorter"):
        evaluate_edges([np.zeros((3, 3))] * 2, [np.zeros((1, 3, 3))])
    with pytest.raises(ValueError, match="two dimensions"):
        count_edges(np.zeros((1, 3, 3)), np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match="annotators"):
        count_edges(np.zeros((3, 3)), np.zeros((3, 3)))
    for value in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match="must be in"):
            count_edges(np.full((3, 3), value), np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match="tolerances"):
        CountingSettings(tolerances=())
    with pytest.raises(ValueError, match="threshold"):
        CountingSettings(thresholds=0)
    with pytest.raises(ValueError, match="worker"):
        CountingPool(CountingSettings(), workers=0)
