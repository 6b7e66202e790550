"""A model's masks as a file."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from trace_mm.evaluation import evaluate_instances
from trace_mm.files.coco import decode_rle, instance_annotation
from trace_mm.registry import METRICS
from trace_mm.structures import InstanceDataSample

SIZE = (12, 16)


def masks_of(seed, count):
    masks = np.zeros((count, *SIZE), dtype=bool)
    for mask, (top, left) in zip(
        masks, np.random.default_rng(seed).integers(0, 8, (count, 2)), strict=True
    ):
        mask[top : top + 4, left : left + 6] = True
    return masks


@pytest.fixture
def listed(tmp_path):
    images = [
        {"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]}
        for number in (7, 3, 5)
    ]
    annotations = [
        {"id": number, "image_id": number, **instance_annotation(masks_of(number, 1)[0])}
        for number in (7, 3)
    ]
    (tmp_path / "images.json").write_text(
        json.dumps({"images": images, "annotations": annotations})
    )
    return tmp_path


def samples():
    found = {7: (masks_of(7, 2), [0.2, 0.9]), 3: (masks_of(3, 1), [0.5]), 5: (masks_of(0, 0), [])}
    return [
        InstanceDataSample(
            metainfo={"image_id": number},
            pred_instances=InstanceData(
                masks=torch.from_numpy(masks), scores=torch.tensor(scores, dtype=torch.float64)
            ),
        )
        for number, (masks, scores) in found.items()
    ]


def write(folder, samples, **settings):
    metric = METRICS.build(
        {
            "type": "InstanceResultsFile",
            "data_root": str(folder),
            "ann_file": "images.json",
            "out_file": str(folder / "out.json"),
            **settings,
        }
    )
    evaluator = Evaluator(metric)
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


def test_masks_are_written_best_first(listed):
    assert write(listed, samples()) == {"masks/images": 3, "masks/masks": 3}
    content = json.loads((listed / "out.json").read_text())
    assert [one["id"] for one in content["images"]] == [7, 3, 5]
    found = [(one["image_id"], one["score"]) for one in content["annotations"]]
    assert found == [(7, 0.9), (7, 0.2), (3, 0.5)]
    np.testing.assert_array_equal(
        decode_rle(content["annotations"][0]["segmentation"], SIZE), masks_of(7, 2)[1]
    )


def test_bytes_do_not_depend_on_the_order(listed):
    write(listed, samples())
    expected = (listed / "out.json").read_bytes()
    write(listed, samples()[::-1])
    assert (listed / "out.json").read_bytes() == expected


def test_the_file_can_be_scored(listed):
    write(listed, samples())
    content = json.loads((listed / "images.json").read_text())
    assert evaluate_instances(content, listed / "out.json").to_dict()["AR100"] == 1


def test_masks_below_a_score_are_left_out(listed):
    assert write(listed, samples(), min_score=0.5)["masks/masks"] == 2
    content = json.loads((listed / "out.json").read_text())
    assert [one["score"] for one in content["annotations"]] == [0.9, 0.5]


def test_missing_images_are_an_error(listed):
    with pytest.raises(ValueError, match=r"images\.json: 1 of its 3 images were not predicted"):
        write(listed, samples()[:2])
    assert not (listed / "out.json").exists()


def test_a_file_must_be_named(listed):
    with pytest.raises(ValueError, match="--out FILE"):
        write(listed, [], out_file=None)
