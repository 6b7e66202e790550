"""Scores with regard to classes against pycocotools."""

import contextlib
import io
import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.test_evaluation.test_instance_scores import as_stats, random_case
from trace_mm.evaluation import ClassAgnosticInstanceMetric, evaluate_instances
from trace_mm.structures import InstanceDataSample


def classified_case(seed):
    """A random case whose detections have classes, mostly right ones."""
    truth, results = random_case(seed)
    rng = np.random.default_rng(seed)
    for result in results:
        result["category_id"] = int(rng.integers(1, 4))
    for annotation in truth["annotations"]:  # detections that are exactly right, too
        if rng.random() < 0.5:
            keys = ("image_id", "segmentation", "category_id")
            found = {key: annotation[key] for key in keys}
            results.append({**found, "score": float(rng.random())})
    return truth, results


def pycocotools_stats(folder, truth, results, iou_type="segm"):
    """The twelve numbers of pycocotools with its default, ``useCats=1``."""
    (folder / "truth.json").write_text(json.dumps(truth))
    keys = ("image_id", "category_id", "score", "bbox" if iou_type == "bbox" else "segmentation")
    listed = [{key: result[key] for key in keys} for result in results]
    (folder / "results.json").write_text(json.dumps(listed))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "truth.json"))
        evaluator = COCOeval(coco, coco.loadRes(str(folder / "results.json")), iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


@pytest.mark.parametrize("seed", range(12))
def test_equals_pycocotools_with_classes(tmp_path, seed):
    truth, results = classified_case(seed)
    if not results or not truth["annotations"]:
        pytest.skip("pycocotools cannot read an empty list")
    scores = evaluate_instances(truth, results, classes=True)
    np.testing.assert_allclose(
        as_stats(scores.classes), pycocotools_stats(tmp_path, truth, results), rtol=0, atol=1e-9
    )
    agnostic = evaluate_instances(truth, results)
    same = [one.name for one in fields(agnostic) if one.name != "classes"]
    assert all(getattr(scores, name) == getattr(agnostic, name) for name in same)
    named = {f"class_{name}" for name in list(agnostic.to_dict())[:12]}
    assert scores.to_dict().keys() == agnostic.to_dict().keys() | named
    defined = list(scores.classes.by_class.values())
    assert scores.classes.ap == pytest.approx(np.mean(defined) if defined else -1)


def test_boxes_equal_pycocotools_with_classes(tmp_path):
    truth, results = classified_case(3)
    for result in results:
        result["bbox"] = mask_utils.toBbox(result["segmentation"]).tolist()
    scores = evaluate_instances(truth, results, iou_type="bbox", classes=True)
    expected = pycocotools_stats(tmp_path, truth, results, "bbox")
    np.testing.assert_allclose(as_stats(scores.classes), expected, rtol=0, atol=1e-9)


def test_classes_that_were_taken_out_of_the_file_count():
    """As the converters write them: one category, and the source's beside it."""
    truth, results = classified_case(3)
    expected = evaluate_instances(truth, results, classes=True)
    agnostic = {
        **truth,
        "annotations": [
            {**one, "category_id": 1, "original_category_id": one["category_id"]}
            for one in truth["annotations"]
        ],
        "categories": [{"id": 1, "name": "object"}],
        "original_categories": truth["categories"],
    }
    assert evaluate_instances(agnostic, results, classes=True) == expected


def test_detections_of_unknown_classes_match_nothing(caplog):
    truth, results = classified_case(3)
    other = [{**results[0], "category_id": 77, "score": 2.0}]
    expected = evaluate_instances(truth, results, classes=True).classes
    assert evaluate_instances(truth, [*results, *other], classes=True).classes == expected
    with pytest.raises(ValueError, match=r"1 of 1 detections .* such as 77; it has \[1, 2, 3\]"):
        evaluate_instances(truth, other, classes=True)
    with pytest.raises(ValueError, match="category_id must be a whole number"):
        evaluate_instances(truth, [{**results[0], "category_id": None}], classes=True)


@pytest.mark.parametrize("named", [False, True])
def test_metric_takes_ids_or_names_of_classes(tmp_path, named):
    truth, results = classified_case(3)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    names = ["class 3", "class 1", "class 2"]  # a model's own order
    labels = {3: 0, 1: 1, 2: 2} if named else {1: 1, 2: 2, 3: 3}
    samples = []
    for image in truth["images"]:
        own = [one for one in results if one["image_id"] == image["id"]]
        found = InstanceData(
            masks=[one["segmentation"] for one in own],
            scores=torch.tensor([one["score"] for one in own], dtype=torch.float64),
            labels=torch.tensor([labels[one["category_id"]] for one in own], dtype=torch.int64),
        )
        meta = {"image_id": image["id"]}
        samples.append(InstanceDataSample(metainfo=meta, pred_instances=found))
    out = tmp_path / "scores.json"
    metric = ClassAgnosticInstanceMetric(
        "truth.json", str(tmp_path), classes=names if named else True, out_file=str(out)
    )
    evaluator = Evaluator(metric)
    evaluator.process(samples)
    expected = evaluate_instances(truth, results, classes=True)
    assert evaluator.evaluate(len(samples))["instances/class_AP"] == expected.classes.ap
    assert json.loads(out.read_text())["by_class"] == expected.classes.by_class
    metric = ClassAgnosticInstanceMetric("truth.json", str(tmp_path), classes=["dog"])
    with pytest.raises(ValueError, match=r"no categories of these names: \['dog'\]"):
        Evaluator(metric).process(samples)
