"""The metric in mmengine's evaluator."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from trace_mm.evaluation import InstanceEdgeMetric, evaluate_edges
from trace_mm.registry import METRICS
from trace_mm.structures import EdgeDataSample


def samples(number=4):
    rng = np.random.default_rng(0)
    result = []
    for index in range(number):
        target = np.zeros((1, 24, 30), dtype=bool)
        target[0, 5 + index, 4:-4] = True
        edges = np.clip(target[0] * 0.7 + 0.3 * rng.random((24, 30)), 0, 1)
        sample = EdgeDataSample(metainfo={"image_id": f"image-{index}"}, gt_edges=target)
        sample.pred_edges = torch.from_numpy(edges.astype(np.float32))
        result.append(sample)
    return result


@pytest.mark.parametrize("workers", [1, 2])
def test_same_scores_as_the_function(tmp_path, workers):
    batch = samples()
    metric = METRICS.build(
        {
            "type": "InstanceEdgeMetric",
            "tolerances": [0.02],
            "workers": workers,
            "out_file": str(tmp_path / "new" / "scores.json"),
            "progress": False,
        }
    )
    evaluator = Evaluator(metric)
    evaluator.process(batch[:2])
    evaluator.process(batch[2:])
    metrics = evaluator.evaluate(len(batch))
    expected = evaluate_edges(
        [sample.pred_edges.numpy() for sample in batch],
        [sample.gt_edges for sample in batch],
        tolerances=[0.02],
    )
    assert metrics["edges/ODS"] == expected.ods
    assert metrics["edges/OIS"] == expected.ois
    assert metrics["edges/AP"] == expected.ap
    assert metrics["edges/clDice"] == expected.cldice
    assert metrics["edges/ODS@0.02"] == expected.ods_by_tolerance[0.02]
    written = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert written["image_id"] == [f"image-{index}" for index in range(4)]
    assert written["curve"]["recall"] == expected.curve["recall"]
    assert len(written["image_f"]) == 4


def test_can_be_used_twice():
    metric = InstanceEdgeMetric(progress=False, workers=1)
    evaluator = Evaluator(metric)
    for _ in range(2):
        evaluator.process(samples(2))
        scores = evaluator.evaluate(2)
        assert 0 < scores["edges/ODS"] <= 1


def test_wrong_size_names_the_image():
    evaluator = Evaluator(InstanceEdgeMetric(progress=False, workers=1))
    batch = samples(1)
    batch[0].pred_edges = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="image-0: edge map is"):
        evaluator.process(batch)
