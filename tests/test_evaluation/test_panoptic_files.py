"""Two panoptic datasets compared: images by stem, categories by name."""

import json

import numpy as np
import pytest

from tests.tiny_panoptic import CATEGORIES, write_panoptic
from trace_mm.evaluation.panoptic_dataset import PanopticDataset
from trace_mm.evaluation.panoptic_files import score_panoptic_files
from trace_mm.evaluation.panoptic_quality import Quality, SegmentCounts
from trace_mm.evaluation.panoptic_table import panoptic_table, scores_as_json

CAT, DOG, GRASS = 1, 2, 7
HALVES = np.repeat([[1, 2]], 4, axis=1).repeat(3, axis=0)  # (3, 8)
APART = HALVES, {1: CAT, 2: CAT}
ONE = np.ones((3, 8), dtype=np.int32), {1: GRASS}


@pytest.fixture
def truth(tmp_path):
    """Two cats in one image, grass in the other."""
    return write_panoptic(tmp_path / "true", {"a": APART, "b": ONE})


def _score(truth, predicted, **options):
    return score_panoptic_files(
        truth, truth.parent / "panoptic", predicted, predicted.parent / "panoptic", **options
    )


def test_a_dataset_is_perfect_against_itself(truth):
    scores = _score(truth, truth)
    assert scores.all == Quality(1, 1, 1, 2)
    assert scores.counts == {CAT: SegmentCounts(2, 2, 0, 0), GRASS: SegmentCounts(1, 1, 0, 0)}


def test_a_dataset_with_crowds_is_perfect_against_itself(tmp_path):
    truth = write_panoptic(tmp_path, {"a": APART, "b": ONE}, crowds={"a": {2}})
    assert _score(truth, truth).counts[CAT] == SegmentCounts(1, 1, 0, 0)


def test_ids_order_and_suffix_do_not_matter(truth, tmp_path):
    renamed = [
        {"id": 3, "name": "grass", "isthing": 0},
        {"id": 1, "name": "dog", "isthing": 1},
        {"id": 2, "name": "cat", "isthing": 1},
    ]
    maps = {"b": (ONE[0] * 300, {300: 3}), "a": (HALVES * 70000, {70000: 2, 140000: 2})}
    predicted = write_panoptic(tmp_path / "other", maps, categories=renamed, suffix=".JPEG")
    assert _score(truth, predicted) == _score(truth, truth)


def test_missing_images_are_missed_segments(truth, tmp_path):
    predicted = write_panoptic(tmp_path / "found", {"a": (HALVES * 0 + 1, {1: CAT})})
    scores = _score(truth, predicted)
    assert scores.counts == {CAT: SegmentCounts(0, 0, 1, 2), GRASS: SegmentCounts(0, 0, 0, 1)}
    assert set(_score(truth, predicted, partial=True).counts) == {CAT}


def test_more_images_than_the_truth_has_do_no_harm(truth, tmp_path):
    predicted = write_panoptic(tmp_path / "found", {"a": APART, "b": ONE, "c": APART})
    assert _score(truth, predicted) == _score(truth, truth)


def test_names_of_cityscapes_scripts_and_of_other_systems(truth, tmp_path):
    """Its panoptic file calls photos ``x_gtFine_leftImg8bit``; predictions are called as photos."""
    predicted = write_panoptic(tmp_path / "found", {"x_leftImg8bit": APART, "b": ONE})
    content = json.loads(truth.read_text())
    for image in content["images"]:
        if image["file_name"].startswith("a."):
            image["file_name"] = "city\\x_gtFine_leftImg8bit.png"
    truth.write_text(json.dumps(content), encoding="utf-16")
    assert _score(truth, predicted).all == Quality(1, 1, 1, 2)


def test_most_images_left_out_are_told_of(truth, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        "trace_mm.evaluation.panoptic_files.print_log", lambda text, *others: told.append(text)
    )
    others = dict.fromkeys(("a", "d", "e"), APART)
    _score(truth, write_panoptic(tmp_path / "found", others), partial=True)
    assert ["2 of 3 images of" in text for text in told] == [True]
    many = write_panoptic(tmp_path / "many", dict.fromkeys(("a", "c", "d"), APART))
    _score(many, write_panoptic(tmp_path / "one", {"a": APART}), partial=True)
    assert told[1].startswith("2 of 3 images of") and told[1].endswith("they are not scored")


def test_ground_truth_of_crowds_only(tmp_path):
    truth = write_panoptic(tmp_path, {"a": APART}, crowds={"a": {1, 2}})
    with pytest.raises(ValueError, match=r"none of its 2 segments can be scored: all are crowds"):
        _score(truth, truth)


def test_workers_change_nothing(truth, tmp_path):
    predicted = write_panoptic(tmp_path / "found", {"a": (HALVES, {1: CAT, 2: DOG}), "b": ONE})
    scores = _score(truth, predicted)
    assert scores.things == Quality(0.5 / 1.5, 0.5, 0.5 / 1.5, 2)
    assert _score(truth, predicted, workers=2) == scores


def test_bare_annotations_are_read(truth, tmp_path):
    """As mmdet writes predictions: no images, no categories."""
    predicted = tmp_path / "true" / "bare.json"
    content = json.loads(truth.read_text())
    predicted.write_text(json.dumps({"annotations": content["annotations"]}))
    assert _score(truth, predicted) == _score(truth, truth)


def test_errors_name_file_and_cause(truth, tmp_path):
    other = write_panoptic(tmp_path / "other", {"c": APART})
    with pytest.raises(ValueError, match=r"other.panoptic\.json: no image has a name as in"):
        _score(truth, other)
    bird = [*CATEGORIES, {"id": 9, "name": "bird", "isthing": 1}]
    birds = write_panoptic(tmp_path / "birds", {"a": (ONE[0], {1: 9})}, categories=bird)
    with pytest.raises(ValueError, match=r"birds.panoptic\.json: a: .*\['bird'\]"):
        _score(truth, birds)
    larger = write_panoptic(tmp_path / "larger", {"a": (HALVES.repeat(2, axis=0), APART[1])})
    with pytest.raises(ValueError, match=r"larger.panoptic.a\.png: .*true.panoptic.a\.png.*\(6, 8"):
        _score(truth, larger)
    (larger.parent / "panoptic" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"larger.panoptic.a\.png"):
        _score(truth, larger)
    with pytest.raises(ValueError, match="0 workers or more"):
        _score(truth, truth, workers=-1)


def rename(path, *names):
    """Give the images of a panoptic file other names."""
    content = json.loads(path.read_text())
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    path.write_text(json.dumps(content))


def test_images_of_one_stem_are_told_apart_by_their_folders(truth, tmp_path):
    swapped = write_panoptic(tmp_path / "found", {"a": ONE, "b": APART})
    rename(truth, "x/1.jpg", "y/1.jpg")
    rename(swapped, "y/1.png", "x/1.png")
    assert _score(truth, swapped).all == Quality(1, 1, 1, 2)


def test_images_of_one_name_are_refused(truth):
    rename(truth, "x/1.jpg", "x/1.png")
    with pytest.raises(ValueError, match="two images are called 'x/1'"):
        _score(truth, truth)


def test_segments_that_the_map_lacks_are_reported(truth):
    content = json.loads(truth.read_text())
    content["annotations"][0]["segments_info"].pop()
    truth.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"a\.png: true segments without a category: \[2\]"):
        _score(truth, truth)


def test_crowds_are_not_missed(tmp_path):
    path = write_panoptic(tmp_path, {"a": APART}, crowds={"a": {1}})
    image = PanopticDataset.read(path, tmp_path / "panoptic").images[10]
    assert image.missed() == {CAT: SegmentCounts(0, 0, 0, 1)}


def test_scores_as_text_and_json(truth, tmp_path):
    predicted = write_panoptic(tmp_path / "found", {"a": (HALVES, {1: CAT, 2: DOG})})
    names = {entry["id"]: entry["name"] for entry in CATEGORIES}
    scores = _score(truth, predicted, partial=True)
    assert panoptic_table(scores, names, by_category=True).splitlines() == [
        "            PQ      SQ      RQ  categories",
        "all      33.33   50.00   33.33           2",
        "things   33.33   50.00   33.33           2",
        "stuff        -       -       -           0",
        "cat      66.67  100.00   66.67",
        "dog       0.00    0.00    0.00",
        "grass        -       -       -",
    ]
    content = json.loads(json.dumps(scores_as_json(scores, names)))
    assert content["PQ_th"] == pytest.approx(100 / 3) and "PQ_st" not in content
    assert content["categories"][1] == {
        "id": DOG, "name": "dog", "PQ": 0, "SQ": 0, "RQ": 0,
        "iou": 0, "true_positives": 0, "false_positives": 1, "false_negatives": 0,
    }  # fmt: skip
