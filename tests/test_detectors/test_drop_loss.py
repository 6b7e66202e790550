"""DropLoss, against a loop over proposals that is written from its equation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from trace_mm.detectors import DropLossBBoxHead, DropLossSampler, drop_weights
from trace_mm.registry import MODELS, TASK_UTILS

CFG = ConfigDict(pos_weight=-1)


def naive_iou(one, other):
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    shared = width * height
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(area) - shared)


def naive_loss(logits, labels, boxes, truth, threshold):
    """1/N * sum over i of [max_j IoU(i, j) > threshold] * cross-entropy(i)."""
    total = 0.0
    for logit, label, box in zip(logits, labels, boxes, strict=True):
        overlap = max((naive_iou(box, other) for other in truth), default=0.0)
        if overlap > threshold:
            total += math.log(sum(math.exp(value) for value in logit)) - logit[label]
    return total / len(labels)


def boxes(count, seed):
    found = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * 40
    return torch.cat([found[:, :2], found[:, :2] + found[:, 2:] / 2 + 2], dim=1)


def head(**settings):
    config = {"type": "DropLossBBoxHead", "in_channels": 4, "fc_out_channels": 8, "num_classes": 1}
    return MODELS.build({**config, **settings})


def sampled(proposals, truth, number=64):
    sampler = TASK_UTILS.build(
        {
            "type": "DropLossSampler",
            "num": number,
            "pos_fraction": 0.25,
            "add_gt_as_proposals": True,
        }
    )
    assigner = MaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5)
    priors = InstanceData(priors=proposals)
    instances = InstanceData(bboxes=truth, labels=torch.zeros(len(truth), dtype=torch.long))
    return sampler.sample(assigner.assign(priors, instances), priors, instances)


def classification_loss(box_head, logits, results):
    targets = box_head.get_targets(results, CFG)
    rois = torch.cat([one.priors for one in results])
    deltas = torch.zeros(len(rois), 4)
    return box_head.loss(logits, deltas, rois, *targets)["loss_cls"], targets[0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    truths=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    threshold=st.sampled_from([0.0, 0.01, 0.2, 0.5]),
)
def test_the_loss_is_as_the_loop_says(seed, truths, threshold):
    torch.manual_seed(seed)
    true_boxes = [boxes(count, seed + 1 + n) for n, count in enumerate(truths)]
    results = [sampled(boxes(20, seed + 9 + n), one) for n, one in enumerate(true_boxes)]
    count = sum(len(one.priors) for one in results)
    logits = torch.randn(count, 2, dtype=torch.float64)
    loss, labels = classification_loss(head(drop_threshold=threshold), logits, results)
    expected, start = 0.0, 0
    for result, truth in zip(results, true_boxes, strict=True):
        rows = slice(start, start + len(result.priors))
        parts = [one.tolist() for one in (logits[rows], labels[rows], result.priors, truth)]
        expected += naive_loss(*parts, threshold) * len(result.priors) / count
        start = rows.stop
    assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_without_a_threshold_it_is_mmdet_s_loss():
    torch.manual_seed(0)
    results = [sampled(boxes(30, 1), boxes(2, 2))]
    logits = torch.randn(len(results[0].priors), 2)
    loss, labels = classification_loss(head(drop_threshold=None), logits, results)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, labels))
    dropped, _ = classification_loss(head(), logits, results)
    assert dropped < loss


def test_what_overlaps_nothing_gets_no_gradient():
    truth = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    proposals = torch.tensor(
        [[0.0, 0.0, 10.0, 9.0], [2.0, 2.0, 30.0, 30.0], [20.0, 20.0, 30.0, 30.0]]
    )
    result = sampled(proposals, truth)
    logits = torch.zeros(len(result.priors), 2, requires_grad=True)
    loss, labels = classification_loss(head(), logits, [result])
    loss.backward()
    touched = logits.grad.abs().sum(1) > 0
    apart = (result.priors[:, 0] == 20).squeeze()
    assert touched.tolist() == (~apart).tolist() and apart.sum() == 1
    assert labels.tolist() == [0, 0, 1, 1]  # the true box and the first proposal, then background


def test_an_image_without_masks_teaches_nothing():
    result = sampled(boxes(10, 3), torch.zeros(0, 4))
    logits = torch.randn(10, 2)
    loss, _ = classification_loss(head(), logits, [result])
    assert loss == 0


def test_weights_are_of_overlaps_above_the_threshold():
    overlaps = torch.tensor([0.0, 0.01, 0.011, 1.0])
    assert drop_weights(overlaps, 0.01).tolist() == [0, 0, 1, 1]


def test_another_sampler_is_refused():
    assert issubclass(DropLossBBoxHead, MODELS.get("mmdet.Shared2FCBBoxHead"))
    result = sampled(boxes(10, 3), boxes(1, 4))
    del result.overlaps
    with pytest.raises(ValueError, match=r"trace_mm\.DropLossSampler"):
        head().get_targets([result], CFG)
    assert TASK_UTILS.get("DropLossSampler") is DropLossSampler
