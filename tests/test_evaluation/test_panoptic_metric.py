"""The panoptic metric in mmengine's evaluator, on what mmdet's models return."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, PixelData

from tests.tiny_panoptic import write_panoptic
from trace_mm.evaluation.panoptic_files import score_panoptic_files
from trace_mm.evaluation.panoptic_metric import PanopticQualityMetric
from trace_mm.registry import METRICS

CLASSES = ("dog", "cat", "grass")  # not in the order of the annotation file
DOG, CAT, GRASS, VOID = range(4)
TRUTH = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 0]])
"""Two cats on grass, one pixel void."""


@pytest.fixture
def folder(tmp_path):
    """Ground truth of three images, with the ids 10, 11 and 12."""
    labels = {1: 1, 2: 1, 3: 7}
    write_panoptic(tmp_path, dict.fromkeys(("a", "b", "c"), (TRUTH, labels)))
    return tmp_path


def metric(folder, **options):
    built = METRICS.build(
        {
            "type": "PanopticQualityMetric",
            "ann_file": "panoptic.json",
            "seg_prefix": "panoptic",
            "data_root": str(folder),
            **options,
        }
    )
    built.dataset_meta = {"classes": CLASSES}
    return built


def sample(image_id, ids):
    return BaseDataElement(
        metainfo={"img_id": image_id},
        pred_panoptic_seg=PixelData(sem_seg=torch.as_tensor(ids)[None]),
    )


def run(metric, samples, batch=2):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {"classes": CLASSES}
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start : start + batch])
    return evaluator.evaluate(len(samples))


def thing(number, label):
    return 1000 * number + label


PERFECT = np.select([TRUTH == 1, TRUTH == 2], [thing(1, CAT), thing(2, CAT)], GRASS)
MERGED = np.where(TRUTH == 3, VOID, thing(1, CAT))
MERGED[2, 3] = VOID


def test_perfect_predictions(folder):
    scores = run(metric(folder), [sample(image_id, PERFECT) for image_id in (11, 10, 12)])
    names = ("PQ", "SQ", "RQ")
    expected = {f"panoptic/{name}{group}" for name in names for group in ("", "_th", "_st")}
    assert scores == dict.fromkeys(expected, 100)


def test_merged_things_and_void_for_stuff(folder):
    scores = run(
        metric(folder, prefix="x"), [sample(image_id, MERGED) for image_id in (10, 11, 12)]
    )
    assert scores == {
        "x/PQ": 0, "x/SQ": 0, "x/RQ": 0, "x/PQ_th": 0, "x/SQ_th": 0, "x/RQ_th": 0,
        "x/PQ_st": 0, "x/SQ_st": 0, "x/RQ_st": 0,
    }  # fmt: skip


def test_a_class_that_is_number_zero(folder, tmp_path):
    """Its id is 0 where there are no instances; that is no void."""
    stuff = [{"id": 4, "name": "grass", "isthing": 0}]
    write_panoptic(tmp_path / "stuff", {"a": (TRUTH * 0 + 5, {5: 4})}, categories=stuff)
    built = metric(tmp_path / "stuff", classes=["grass"])
    assert run(built, [sample(10, TRUTH * 0)])["panoptic/PQ_st"] == 100


def test_things_only_give_no_score_of_stuff(tmp_path):
    things = [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "dog", "isthing": 1}]
    ids = np.where(TRUTH == 3, 0, TRUTH)
    write_panoptic(tmp_path, {"a": (ids, {1: 1, 2: 1})}, categories=things)
    built = metric(tmp_path, classes=["cat", "dog"])
    found = np.select([ids == 1, ids == 2], [thing(1, 0), thing(2, 0)], 2)
    scores = run(built, [sample(10, found)])
    assert scores["panoptic/PQ_th"] == 100
    assert not any(name.endswith("_st") for name in scores)


def test_images_that_were_not_predicted_are_missed(folder):
    samples = [sample(10, PERFECT)]
    assert run(metric(folder), samples)["panoptic/PQ"] == pytest.approx(100 / 2)
    assert run(metric(folder, partial=True), samples)["panoptic/PQ"] == 100


def test_scores_and_predictions_are_written(folder, tmp_path):
    built = metric(
        folder,
        by_category=True,
        out_file=str(tmp_path / "out" / "scores.json"),
        out_folder=str(tmp_path / "out"),
    )
    broken = np.where(TRUTH == 2, thing(2, DOG), PERFECT)
    scores = run(built, [sample(12, PERFECT), sample(10, broken), sample(11, MERGED)])
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert content["images"] == 3 and content["PQ"] == scores["panoptic/PQ"]
    assert [entry["name"] for entry in content["categories"]] == ["cat", "dog", "grass"]
    rescored = score_panoptic_files(
        folder / "panoptic.json",
        folder / "panoptic",
        tmp_path / "out" / "panoptic.json",
        tmp_path / "out" / "panoptic",
    )
    assert rescored.percentages() == {
        name.removeprefix("panoptic/"): value for name, value in scores.items()
    }
    assert {entry["file_name"] for entry in content_of(tmp_path / "out")["images"]} == {
        "a.jpg",
        "b.jpg",
        "c.jpg",
    }


def content_of(folder):
    return json.loads((folder / "panoptic.json").read_text())


def test_arrays_without_a_first_axis_are_read_too(folder):
    built = metric(folder, partial=True)
    built.process(None, [{"img_id": 10, "pred_panoptic_seg": {"sem_seg": PERFECT}}])
    assert built.evaluate(1)["panoptic/PQ"] == 100


@pytest.mark.parametrize(
    ("image_id", "ids", "cause"),
    [
        (99, PERFECT, r"panoptic\.json: no annotation of image 99"),
        (None, PERFECT, "no annotation of image None"),
        (10, PERFECT[:2], r"a\.png: the prediction is \(2, 4\)"),
        (10, PERFECT.astype(np.float32), "image 10: sem_seg must be int"),
        (10, PERFECT + 3, r"image 10: sem_seg has ids of no class: \[5, 1004, 2004\]"),
        (10, PERFECT - 3, r"image 10: sem_seg has negative ids: -1"),
    ],
)
def test_bad_predictions_name_the_image(folder, image_id, ids, cause):
    with pytest.raises(ValueError, match=cause):
        run(metric(folder), [sample(image_id, ids)])


def test_samples_need_a_panoptic_map(folder):
    with pytest.raises(ValueError, match="image 10: the sample has no pred_panoptic_seg"):
        metric(folder).process(None, [{"img_id": 10}])


def test_a_missing_map_is_named(folder):
    (folder / "panoptic" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        run(metric(folder), [sample(11, PERFECT)])


def test_images_are_predicted_once(folder):
    with pytest.raises(ValueError, match="1 images were predicted twice"):
        run(metric(folder), [sample(10, PERFECT)] * 2)


def test_classes_are_found_by_name(folder):
    built = metric(folder, classes=["cat", "bird"])
    with pytest.raises(ValueError, match=r"no categories of these names: \['bird'\]"):
        run(built, [sample(10, PERFECT)])
    built = PanopticQualityMetric("panoptic.json", "panoptic", data_root=str(folder))
    with pytest.raises(ValueError, match="needs the names of the classes"):
        built.process(None, [{"img_id": 10, "pred_panoptic_seg": {"sem_seg": PERFECT}}])


def test_things_may_be_one_class(tmp_path):
    labels = {1: 1, 2: 2, 3: 7}  # a cat, a dog and grass
    write_panoptic(tmp_path, {"a": (TRUTH, labels)})
    found = np.select([TRUTH == 1, TRUTH == 2], [thing(1, 0), thing(2, 0)], 1)

    scores = run(
        metric(tmp_path, classes=["animal", "grass"], things_as="animal"), [sample(10, found)]
    )

    assert scores["panoptic/PQ_th"] == scores["panoptic/PQ_st"] == 100


def test_one_class_of_things_needs_things(tmp_path):
    stuff = [{"id": 4, "name": "grass", "isthing": 0}]
    write_panoptic(tmp_path, {"a": (TRUTH * 0 + 5, {5: 4})}, categories=stuff)
    built = metric(tmp_path, classes=["grass"], things_as="animal")
    with pytest.raises(ValueError, match="has no things to take for 'animal'"):
        run(built, [sample(10, TRUTH * 0)])


def test_predictions_of_images_in_folders_do_not_replace_each_other(tmp_path):
    labels = {1: 1, 2: 1, 3: 7}
    path = write_panoptic(tmp_path, dict.fromkeys(("a", "b"), (TRUTH, labels)))
    content = json.loads(path.read_text())
    content["images"][0]["file_name"], content["images"][1]["file_name"] = "x/1.jpg", "y/1.jpg"
    path.write_text(json.dumps(content))
    built = metric(tmp_path, out_folder=str(tmp_path / "out"))
    run(built, [sample(10, PERFECT), sample(11, MERGED)])
    written = {one["file_name"] for one in content_of(tmp_path / "out")["annotations"]}
    assert written == {"x/1.png", "y/1.png"}
    first, second = ((tmp_path / "out" / "panoptic" / name).read_bytes() for name in written)
    assert first != second
