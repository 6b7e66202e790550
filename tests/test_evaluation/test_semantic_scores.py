import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mm.evaluation import SemanticIoUMetric, SemanticScores, confusion_matrix
from trace_mm.evaluation.semantic_scores import semantic_json, semantic_table

NAMES = ("background", "cat", "dog", "bus")


def naive_scores(pairs, classes):
    """mIoU, mAcc and aAcc in per cent, pixel by pixel and class by class.

    A pixel without a class counts in the union of its true class alone, and one that is ignored in
    nothing; a class without union, or without true pixels, is in no mean.
    """
    ious, accuracies, right, counted = [], [], 0, 0
    for number in range(classes):
        both = union = true = 0
        for truth, found in pairs:
            for a, b in zip(truth.ravel().tolist(), found.ravel().tolist(), strict=True):
                if a == -1:
                    continue
                both += a == number and b == number
                union += a == number or b == number
                true += a == number
        right, counted = right + both, counted + true
        ious += [both / union] if union else []
        accuracies += [both / true] if true else []
    means = [sum(values) / len(values) if values else math.nan for values in (ious, accuracies)]
    return [100 * value for value in (*means, right / counted if counted else math.nan)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_scores_are_those_of_counting_pixel_by_pixel(seed, images, side, classes):
    rng = np.random.default_rng(seed)
    shape = (images, 2, side, side + 1)
    pairs = rng.integers(-1, classes, shape).astype(np.int32)
    confusion = sum(confusion_matrix(truth, found, classes) for truth, found in pairs)
    scores = SemanticScores.of(confusion).percentages()
    np.testing.assert_allclose(list(scores.values()), naive_scores(pairs, classes), rtol=1e-12)


def test_what_is_void_counts_in_nothing_and_what_has_no_class_is_missed():
    truth = np.array([[0, 0, 1, -1]], np.int32)
    found = np.array([[0, -1, 1, 1]], np.int32)
    confusion = confusion_matrix(truth, found, 3)
    assert confusion.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    scores = SemanticScores.of(confusion)
    assert scores.iou[:2].tolist() == [0.5, 1.0]
    assert math.isnan(scores.iou[2])  # in no mean
    assert scores.percentages() == {"mIoU": 75.0, "mAcc": 75.0, "aAcc": pytest.approx(200 / 3)}


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        (np.zeros((2, 2), np.int32), np.zeros((2, 3), np.int32), "of one size"),
        (np.full((2, 2), 4, np.int32), np.zeros((2, 2), np.int32), "truth has 4"),
        (np.zeros((2, 2), np.int32), np.full((2, 2), -2, np.int32), "prediction has -2"),
        (np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int32), "whole numbers"),
    ],
)
def test_maps_that_do_not_fit_are_refused(truth, found, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, found, 4)


def test_the_table_has_dashes_where_a_class_is_nowhere():
    scores = SemanticScores.of(np.array([[3, 1, 0, 0, 0], [0, 4, 0, 0, 0], *[[0] * 5] * 2]))
    assert semantic_table(scores, NAMES, by_class=True).splitlines() == [
        "mIoU  77.50",
        "mAcc  87.50",
        "aAcc  87.50",
        "               IoU     Acc",
        "background   75.00   75.00",
        "cat          80.00  100.00",
        "dog              -       -",
        "bus              -       -",
    ]
    content = json.loads(json.dumps(semantic_json(scores, NAMES)))
    assert content["classes"][3] == {"name": "bus", "IoU": None, "Acc": None, "pixels": 0}


def test_the_metric_counts_batches_and_writes_all_scores(tmp_path):
    metric = SemanticIoUMetric(out_file=str(tmp_path / "scores.json"))
    metric.dataset_meta = {"classes": NAMES}
    rng = np.random.default_rng(0)
    pairs = rng.integers(-1, 4, (3, 2, 6, 5)).astype(np.int32)
    samples = [
        {"image_id": number, "gt_classes": truth, "pred_classes": found}
        for number, (truth, found) in enumerate(pairs)
    ]
    metric.process(None, samples[:2])
    metric.process(None, samples[2:])
    scores = metric.evaluate(3)
    assert [*scores] == ["semantic/mIoU", "semantic/mAcc", "semantic/aAcc"]
    np.testing.assert_allclose(list(scores.values()), naive_scores(pairs, 4))
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["mIoU"] == scores["semantic/mIoU"]
    assert content["images"] == 3


def test_the_metric_names_the_image_at_fault():
    metric = SemanticIoUMetric(classes=NAMES)
    sample = {"image_id": "a/b", "gt_classes": np.zeros((2, 2), int)}
    with pytest.raises(ValueError, match="image 'a/b': truth"):
        metric.process(None, [{**sample, "pred_classes": np.zeros((3, 2), int)}])
    with pytest.raises(ValueError, match="needs the names of the classes"):
        SemanticIoUMetric().process(None, [{**sample, "pred_classes": np.zeros((2, 2), int)}])
