"""Labels that lack a class are noticed, and said once."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger

from tests.tiny_students import build, images_of
from trace_mm.models.distillation import label_shares
from trace_mm.structures import EdgeDataSample


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_instance("label_watch")
    MMLogger._instance_dict.move_to_end("label_watch")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING)
    yield caplog
    logger.removeHandler(caplog.handler)


def samples_like(strength, count=8):
    samples = [EdgeDataSample() for _ in range(count)]
    for sample in samples:
        sample.pseudo_edges = strength
    return samples


def test_shares_of_labels():
    labels = torch.tensor([[1, 0, 0, -1], [1, 1, 1, 1]], dtype=torch.int8).view(2, 1, 2, 2)
    shares = {name: part.tolist() for name, part in label_shares(labels).items()}
    assert shares == {"edge": [0.25, 1.0], "interior": [0.5, 0.0], "uncertain": [0.25, 0.0]}


def test_a_missing_class_is_said_once(flow_folder, log):
    student = build(flow_folder, pseudo_label="mu_sigma", reconstruction=None)
    strength = torch.full((8, 8), 0.001)
    strength[0] = 1.0  # mu - sigma is below 0
    with torch.no_grad():
        for _ in range(8):
            losses = student(images_of(8), samples_like(strength), mode="loss")
    assert losses["labels_interior"].tolist() == [0.0] * 8
    (record,) = log.records
    assert "32 of 32 images have no interior label by 'mu_sigma'" in record.getMessage()


def test_labels_of_both_kinds_are_nothing_to_speak_of(flow_folder, log):
    student = build(flow_folder, reconstruction=None)
    strength = torch.linspace(0.01, 1, 64).reshape(8, 8) ** 6
    with torch.no_grad():
        for _ in range(8):
            losses = student(images_of(8), samples_like(strength), mode="loss")
    assert min(losses[f"labels_{name}"].min() for name in ("edge", "interior")) > 0
    assert not log.records
