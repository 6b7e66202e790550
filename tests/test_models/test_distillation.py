import math
import re

import pytest
import torch

from tests.tiny_students import build, images_of, samples_of, shake
from trace_mm.models import build_student, save_student
from trace_mm.models.distillation import (
    Distillation,
    doubting_cross_entropy,
    label_shares,
    resize_logits,
)
from trace_mm.models.first_reading import FirstReading
from trace_mm.structures import EdgeDataSample


def cross_entropy_by_loops(logits, wanted):
    """The mean of -y log p - (1 - y) log(1 - p), in float64."""
    total = 0.0
    for logit, y in zip(logits.flatten().tolist(), wanted.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    return total / wanted.numel()


def test_cross_entropy_to_the_edges_as_they_are():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 6, 8, generator=generator)
    strength = torch.rand(2, 1, 12, 16, generator=generator)
    loss, labels = Distillation(edge_loss="cross_entropy").compare(logits, strength, (12, 16))
    assert torch.equal(labels, strength)
    expected = cross_entropy_by_loops(resize_logits(logits, (12, 16)), strength)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("doubt", [0.0, 0.05, 1.0])
def test_edges_that_labels_may_lack_weigh_less(doubt):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 6, 8, generator=generator)
    labels = (torch.rand(2, 1, 6, 8, generator=generator) > 0.8).float()
    seen = torch.rand(2, 1, 6, 8, generator=generator) > 0.5
    total = weights = 0.0
    flat = (one.flatten().tolist() for one in (logits, labels, seen))
    for logit, y, edge in zip(*flat, strict=True):
        p = 1 / (1 + math.exp(-logit))
        weight = doubt if y == 0 and edge else 1.0
        total -= weight * math.log(p if y else 1 - p)
        weights += weight
    found = doubting_cross_entropy(logits, labels, seen, doubt).item()
    assert found == pytest.approx(total / weights, rel=1e-5)


def test_without_trust_nothing_is_learned_where_an_edge_was_seen():
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    seen = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    doubting_cross_entropy(logits, torch.zeros(1, 1, 4, 4), seen, 0.0).backward()
    assert logits.grad.abs().max() == 0


def test_a_student_doubts_labels_where_it_saw_an_edge_before(flow_folder):
    """The mask comes from the decoder's first weights, also once they have changed."""
    options = {"edge_loss": "cross_entropy", "reconstruction": None, "label_grid": "token"}
    student = shake(build(flow_folder, **options, doubt=0.0))
    student._first = FirstReading(student.decoder)
    images = images_of(1)
    first = student.read(images[0][None]).detach()
    size = tuple(first.shape[2:])
    with torch.no_grad():
        for weight in student.decoder.parameters():
            weight += 0.1
    logits = student.read(images[0][None])
    assert not torch.equal(logits, first)
    sample = EdgeDataSample(pseudo_edges=torch.zeros(size))
    loss = student.loss(images, [sample])["loss_edge"].item()
    trusted = first <= 0
    assert 0 < trusted.sum() < trusted.numel()
    expected = cross_entropy_by_loops(logits[trusted], torch.zeros(size)[trusted[0, 0]])
    assert loss == pytest.approx(expected, rel=1e-4)


def test_it_is_least_where_the_student_says_what_the_teacher_does():
    strength = torch.full((1, 1, 4, 4), 0.3)
    how = Distillation(edge_loss="cross_entropy")
    losses = {
        p: how.compare(torch.full((1, 1, 4, 4), p).logit(), strength, (4, 4))[0].item()
        for p in (0.1, 0.2, 0.3, 0.4, 0.6)
    }
    assert min(losses, key=losses.get) == 0.3


def test_edges_on_a_token_grid_are_enlarged_or_compared_there():
    strength, logits = torch.rand(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    _, labels = Distillation(edge_loss="cross_entropy").compare(logits, strength, (8, 8))
    assert labels.shape == (1, 1, 8, 8) and labels.min() >= 0 and labels.max() <= 1
    how = Distillation(edge_loss="cross_entropy", label_grid="token")
    assert how.compare(logits, strength, (8, 8))[1].shape == (1, 1, 4, 4)


def test_shares_of_probabilities():
    shares = label_shares(torch.tensor([0.2, 0.6, 0.9, 0.5]).view(1, 1, 2, 2))
    assert {name: share.item() for name, share in shares.items()} == {
        "edge": 0.5,
        "interior": 0.5,
        "uncertain": 0.0,
    }


def test_a_student_trains_on_it(flow_folder):
    student = shake(build(flow_folder, edge_loss="cross_entropy", reconstruction=None))
    images = images_of(2)
    samples = [EdgeDataSample() for _ in images]
    for sample in samples:
        sample.pseudo_edges = torch.rand(images[0].shape[1:])
    losses = student(images, samples, mode="loss")
    logits = student.read(torch.stack(list(images)))
    wanted = torch.stack([sample.pseudo_edges for sample in samples])[:, None]
    resized = resize_logits(logits, tuple(wanted.shape[2:])).detach()
    assert losses["loss_edge"].item() == pytest.approx(
        cross_entropy_by_loops(resized, wanted), rel=1e-4
    )


def test_training_images_may_be_shown_at_another_size(flow_folder):
    student = build(flow_folder, size=64, train_size=32)
    image = images_of(1)[0][None]
    assert student.train().run(image).images.shape[2:] == (32, 32)
    assert student.eval().run(image).images.shape[2:] == (64, 64)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="edge_loss must be one of dice, cross_entropy"):
        Distillation(edge_loss="focal")
    with pytest.raises(ValueError, match="doubt must be a weight from 0 to 1"):
        Distillation(edge_loss="cross_entropy", doubt=1.5)
    with pytest.raises(ValueError, match="doubt has no effect on the Dice loss"):
        Distillation(doubt=0.5)


def test_small_images_are_shown_no_more_than_so_many_times_as_large(flow_folder, tmp_path):
    student = build(flow_folder, size=64, max_enlargement=2).eval()
    path = save_student(student, tmp_path / "student")
    loaded = build_student(path, {"pretrained": str(flow_folder)})
    for model in (student, loaded):
        assert model.run(images_of(1)[0][None]).images.shape[2:] == (32, 32)  # of 16
        assert model.run(images_of(1, (48, 48))[0][None]).images.shape[2:] == (64, 64)
    with pytest.raises(ValueError, match="max_enlargement must be at least 1"):
        build(flow_folder, max_enlargement=0.5)


def test_cells_of_keys_are_of_predictions_alone(flow_folder, tmp_path):
    names = [layer.name for layer in build(flow_folder).backbone.layers if layer.stride == 1]
    backbone = {"layers": f"^{re.escape(names[-1])}$"}
    plain = shake(build(flow_folder, backbone=backbone)).eval()
    pooled = shake(build(flow_folder, backbone=backbone, key_cell=2)).eval()
    images, samples = images_of(2), samples_of(2)
    losses = [model.loss(images, samples)["loss_edge"] for model in (plain, pooled)]
    assert losses[0] == losses[1]
    edges, other = (model.predict(images)[0].pred_edges for model in (plain, pooled))
    assert not torch.equal(edges, other)
    path = save_student(pooled, tmp_path / "student")
    loaded = build_student(path, {"pretrained": str(flow_folder), **backbone})
    assert loaded.key_cell == 2
    torch.testing.assert_close(loaded.predict(images)[0].pred_edges, other)
    with pytest.raises(ValueError, match="key_cell must be at least 1, got 0"):
        build(flow_folder, key_cell=0)
