"""The instance metric in mmengine's evaluator."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData
from pycocotools import mask as mask_utils

from trace_mm.evaluation import ClassAgnosticInstanceMetric, evaluate_instances
from trace_mm.files.coco import encode_rle, instance_annotation
from trace_mm.registry import METRICS
from trace_mm.structures import InstanceDataSample

SIZE = (48, 64)


def random_masks(rng, count):
    masks = np.zeros((count, *SIZE), dtype=bool)
    for mask in masks:
        top, left = rng.integers(0, 30), rng.integers(0, 40)
        mask[top : top + rng.integers(5, 18), left : left + rng.integers(5, 24)] = True
    return masks


@pytest.fixture
def case(tmp_path):
    """An annotation file of five images, and the masks and scores found in each."""
    rng = np.random.default_rng(0)
    images, annotations, found = [], [], {}
    for image_id in (30, 4, 17, 2, 9):
        images.append({"id": image_id, "height": SIZE[0], "width": SIZE[1], "file_name": "a.png"})
        masks = random_masks(rng, 3)
        for mask in masks:
            record = instance_annotation(mask, int(rng.integers(1, 3)))
            annotations.append({**record, "image_id": image_id, "id": len(annotations) + 1})
        kept = np.concatenate([masks[:2], random_masks(rng, 2)])
        found[image_id] = kept, rng.integers(0, 3, 4) / 2
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return truth, found


def sample(image_id, masks, scores):
    return InstanceDataSample(
        metainfo={"image_id": image_id},
        pred_instances=InstanceData(
            masks=torch.from_numpy(masks), scores=torch.from_numpy(scores).float()
        ),
    )


def run(metric, samples, batches=2):
    evaluator = Evaluator(metric)
    for start in range(0, len(samples), batches):
        evaluator.process(samples[start : start + batches])
    return evaluator.evaluate(len(samples))


def test_same_scores_as_the_function_whatever_the_order(tmp_path, case):
    truth, found = case
    results = [
        {"image_id": image_id, "segmentation": encode_rle(mask), "score": score}
        for image_id, (masks, scores) in found.items()
        for mask, score in zip(masks, scores, strict=True)
    ]
    expected = evaluate_instances(truth, results).to_dict()
    samples = [sample(image_id, *found[image_id]) for image_id in found]
    turned = [sample(key, found[key][0][::-1].copy(), found[key][1][::-1].copy()) for key in found]
    for order, batches in ((samples, 1), (turned[::-1], 3)):
        metric = METRICS.build(
            {
                "type": "ClassAgnosticInstanceMetric",
                "data_root": str(tmp_path),
                "ann_file": "truth.json",
                "out_file": str(tmp_path / "new" / "scores.json"),
            }
        )
        metrics = run(metric, order, batches)
        assert metrics == {f"instances/{name}": value for name, value in expected.items()}
        assert 0 < metrics["instances/AP"] < 1
    written = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert written["AP50"] == expected["AP50"]
    assert (written["images"], written["instances"], written["detections"]) == (5, 15, 20)
    assert len(written["touching"]) == expected["images_touching"]


def test_samples_of_mmdet(tmp_path, case):
    """``img_id``, RLE lists, and boxes as x1, y1, x2, y2."""
    truth, _ = case
    samples = []
    for image in truth["images"]:
        true = [item for item in truth["annotations"] if item["image_id"] == image["id"]]
        boxes = torch.tensor([item["bbox"] for item in true]).float()
        boxes[:, 2:] += boxes[:, :2]
        instances = InstanceData(scores=torch.rand(3), bboxes=boxes, labels=torch.zeros(3))
        instances.masks = [item["segmentation"] for item in true]
        metainfo = {"img_id": image["id"], "img_path": "a.png"}
        samples.append(BaseDataElement(metainfo=metainfo, pred_instances=instances))
    for iou_type in ("segm", "bbox"):
        metric = ClassAgnosticInstanceMetric(str(tmp_path / "truth.json"), iou_type=iou_type)
        assert run(metric, samples)["instances/AP"] == pytest.approx(1)


def test_nothing_found_scores_zero(tmp_path, case):
    none = np.zeros((0, *SIZE), dtype=bool), np.zeros(0)
    metric = ClassAgnosticInstanceMetric(str(tmp_path / "truth.json"), prefix="none")
    metrics = run(metric, [sample(image_id, *none) for image_id in case[1]])
    for name in ("AP", "AP50", "AP75", "AR1", "AR10", "AR100", "AP_s"):
        assert metrics[f"none/{name}"] == 0


def test_images_that_were_not_predicted(tmp_path, case):
    truth, _ = case
    image_id = 17
    masks = np.stack([item_mask(item) for item in truth["annotations"] if item["image_id"] == 17])
    only = [sample(image_id, masks, np.ones(3))]
    path = str(tmp_path / "truth.json")
    assert run(ClassAgnosticInstanceMetric(path, partial=True), only)[
        "instances/AP"
    ] == pytest.approx(1)
    whole = run(ClassAgnosticInstanceMetric(path), only)
    assert whole["instances/AR100"] == pytest.approx(0.2)


def item_mask(item):
    return mask_utils.decode(item["segmentation"]).astype(bool)


def test_can_be_used_twice(tmp_path, case):
    metric = ClassAgnosticInstanceMetric(str(tmp_path / "truth.json"))
    samples = [sample(image_id, *case[1][image_id]) for image_id in case[1]]
    assert run(metric, samples) == run(metric, samples)


def test_an_image_predicted_twice(tmp_path, case):
    metric = ClassAgnosticInstanceMetric(str(tmp_path / "truth.json"))
    one = sample(4, *case[1][4])
    with pytest.raises(ValueError, match="image 4 was predicted twice"):
        run(metric, [one, one])


@pytest.mark.parametrize(
    ("image_id", "masks", "scores", "message"),
    [
        (5, np.zeros((1, *SIZE), dtype=bool), [1.0], "image 5 is not in"),
        (4, np.zeros((1, 9, 9), dtype=bool), [1.0], r"image 4: .*\(1, 9, 9\).*\(48, 64\)"),
        (
            4,
            np.zeros((1, *SIZE), dtype=bool),
            [np.nan],
            "image 4: score must be a finite",
        ),
        (4, np.zeros((1, *SIZE), dtype=bool), [1.0, 1.0], "image 4: there are 1 masks.* 2 scores"),
        (4, np.zeros((1, *SIZE), dtype=np.float32), [1.0], "image 4: .*float32, not bool"),
    ],
)
def test_wrong_samples_name_the_image(tmp_path, case, image_id, masks, scores, message):
    data = {"image_id": image_id, "pred_instances": {"masks": masks, "scores": scores}}
    metric = ClassAgnosticInstanceMetric(str(tmp_path / "truth.json"))
    with pytest.raises(ValueError, match=message):
        metric.process(None, [data])


def test_missing_parts(tmp_path, case):
    metric = ClassAgnosticInstanceMetric(str(tmp_path / "truth.json"))
    with pytest.raises(ValueError, match="image 4: the sample has no pred_instances"):
        metric.process(None, [{"image_id": 4}])
    with pytest.raises(ValueError, match="image 4: its pred_instances have no masks"):
        metric.process(None, [{"image_id": 4, "pred_instances": {"scores": []}}])


def test_a_missing_or_broken_file(tmp_path):
    sample_of_none = [{"image_id": 4}]
    with pytest.raises(FileNotFoundError, match=r"a\.json: no such annotation file"):
        ClassAgnosticInstanceMetric("a.json", str(tmp_path)).process(None, sample_of_none)
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ValueError, match=r"b\.json: not valid JSON"):
        ClassAgnosticInstanceMetric("b.json", str(tmp_path)).process(None, sample_of_none)


def test_ranks_may_share_the_images_out_as_they_like(tmp_path, case):
    path = str(tmp_path / "truth.json")
    samples = [sample(image_id, *case[1][image_id]).to_dict() for image_id in case[1]]
    whole = ClassAgnosticInstanceMetric(path)
    whole.process(None, samples)
    expected = whole.compute_metrics(whole.results)
    ranks = [ClassAgnosticInstanceMetric(path) for _ in range(2)]
    for number, item in enumerate(samples):
        ranks[number % 2].process(None, [item])
    assert whole.compute_metrics(ranks[1].results + ranks[0].results) == expected
