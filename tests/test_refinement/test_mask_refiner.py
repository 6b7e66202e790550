"""Masks refined as a model of MMEngine's test loop."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from torch import nn

from tests.touching_squares import SIZE, overlap, square_edges, square_ids, write_edges, write_image
from trace_mm.files import load_image
from trace_mm.refinement import MaskRefiner
from trace_mm.registry import MODELS
from trace_mm.structures import InstanceDataSample

REFINER = {"type": "BoundaryGuidedPropagation", "steps": 64, "min_border": 0}
TRUE_EDGES = {"type": "TrueEdges"}


def sample(number, masks=None, scores=None):
    masks = (square_ids(number) > 0)[None] if masks is None else masks
    source = InstanceData()
    source.masks = torch.from_numpy(masks)
    source.labels = torch.ones(len(masks), dtype=torch.int64)
    if scores is not None:
        source.scores = torch.tensor(scores)
    return InstanceDataSample(
        metainfo={"img_path": f"photos/{number:012d}.jpg", "image_id": number, "ori_shape": SIZE},
        gt_edges=square_edges(number)[None] > 0,
        source_instances=source,
    )


def images(folder, *numbers):
    photos = [load_image(write_image(folder / "photos", number)) for number in numbers]
    return [torch.from_numpy(photo).permute(2, 0, 1) for photo in photos]


def assert_squares(sample, number, least=0.9):
    found = sample.pred_instances
    assert found.masks.dtype == torch.bool
    assert found.labels.tolist() == [1, 1]
    assert found.scores.dtype == torch.float32
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    for value in (1, 2):
        truth = square_ids(number) == value
        assert max(overlap(mask, truth) for mask in found.masks.numpy()) > least


def test_true_edges_separate_squares(tmp_path):
    model = MaskRefiner(TRUE_EDGES, REFINER)
    samples = [sample(1), sample(2)]
    predicted = model(images(tmp_path, 1, 2), samples)
    assert all(one is other for one, other in zip(predicted, samples, strict=True))
    for number, one in enumerate(predicted, start=1):
        assert_squares(one, number)
        np.testing.assert_array_equal(one.pred_edges, square_edges(number))


@pytest.mark.parametrize("kind", ["EdgeFolder", "CannyDetector"])
def test_other_edge_models(tmp_path, kind):
    options = {}
    if kind == "EdgeFolder":
        options["folder"] = str(write_edges(tmp_path / "edges", 1).parent)
    model = MaskRefiner({"type": kind, **options}, REFINER)
    assert_squares(model(images(tmp_path, 1), [sample(1)])[0], 1, 0.8)


def test_scores_of_the_source_are_kept(tmp_path):
    masks = np.stack([square_ids(1) == 1, square_ids(1) == 2])
    model = MaskRefiner(TRUE_EDGES, REFINER)
    (found,) = model(images(tmp_path, 1), [sample(1, masks, [0.25, 0.75])])
    assert_squares(found, 1)
    assert found.pred_instances.scores.tolist() == [0.75, 0.25]
    assert overlap(found.pred_instances.masks[0].numpy(), square_ids(1) == 2) > 0.9


def test_an_image_without_masks(tmp_path):
    for refiner in (REFINER, None):
        empty = sample(1, np.zeros((0, *SIZE), dtype=bool))
        (found,) = MaskRefiner(TRUE_EDGES, refiner)(images(tmp_path, 1), [empty])
        assert found.pred_instances.masks.shape == (0, *SIZE)
        assert found.pred_instances.scores.shape == (0,)


def test_without_a_refiner_nothing_is_changed(tmp_path):
    both = square_ids(1) > 0
    masks = np.stack([both, square_ids(1) == 1, np.roll(both, 8, axis=0)])
    model = MaskRefiner(TRUE_EDGES, None)
    found = model(images(tmp_path, 1), [sample(1, masks)])[0].pred_instances
    np.testing.assert_array_equal(found.masks, masks)
    assert found.scores.tolist() == [1, 1, 1]
    scored = model(images(tmp_path, 1), [sample(1, masks, [0.1, 0.2, 0.3])])[0].pred_instances
    np.testing.assert_array_equal(scored.masks, masks)
    np.testing.assert_allclose(scored.scores, [0.1, 0.2, 0.3])


@pytest.fixture
def failing_edges():
    """Edge models that fail when they are built, or when they are run."""

    class FailsToBuild(nn.Module):
        def __init__(self):
            raise RuntimeError("the edge model was built")

    class FailsToRun(nn.Module):
        def forward(self, *_, **__):
            raise RuntimeError("the edge model was run")

    models = {"build": FailsToBuild, "run": FailsToRun}
    for model in models.values():
        MODELS.register_module(module=model)
    yield {what: {"type": model.__name__} for what, model in models.items()}
    for model in models.values():
        MODELS.module_dict.pop(model.__name__)


@pytest.mark.parametrize("scores", [None, "source", "constant"])
def test_without_a_refiner_there_is_no_edge_model(failing_edges, tmp_path, scores):
    for config in failing_edges.values():
        model = MaskRefiner(config, None, scores=scores)
        assert not list(model.children())
        (found,) = model(images(tmp_path, 1), [sample(1, scores=[0.25])])
        np.testing.assert_array_equal(found.pred_instances.masks[0], square_ids(1) > 0)
        assert found.pred_instances.scores.tolist() == [1.0 if scores == "constant" else 0.25]
        assert "pred_edges" not in found


@pytest.mark.parametrize(("refiner", "scores"), [(REFINER, None), (None, "outline")])
def test_who_reads_edges_has_an_edge_model(failing_edges, tmp_path, refiner, scores):
    with pytest.raises(RuntimeError, match="was built"):
        MaskRefiner(failing_edges["build"], refiner, scores=scores)
    model = MaskRefiner(failing_edges["run"], refiner, scores=scores)
    with pytest.raises(RuntimeError, match="was run"):
        model(images(tmp_path, 1), [sample(1)])


def test_masks_as_they_are_ranked_by_edges_if_asked_for(tmp_path):
    both = square_ids(1) > 0
    masks = np.stack([both, square_ids(1) == 1, np.roll(both, 8, axis=0)])
    model = MaskRefiner(TRUE_EDGES, None, scores="outline")
    found = model(images(tmp_path, 1), [sample(1, masks, [0.1, 0.2, 0.3])])[0].pred_instances
    np.testing.assert_array_equal(found.masks, masks)
    crossed, square, shifted = found.scores.tolist()
    assert square > crossed > shifted


def test_the_scores_of_a_refiner_are_chosen_with_the_model(tmp_path):
    model = MaskRefiner(TRUE_EDGES, REFINER, scores="constant")
    (found,) = model(images(tmp_path, 1), [sample(1, scores=[0.3])])
    assert_squares(found, 1)
    assert found.pred_instances.scores.tolist() == [1, 1]
    with pytest.raises(ValueError, match="scores must be one of"):
        MaskRefiner(TRUE_EDGES, None, scores="best")


def test_it_can_only_predict(tmp_path):
    model = MaskRefiner(TRUE_EDGES, REFINER)
    with pytest.raises(ValueError, match="only predict"):
        model(images(tmp_path, 1))
    with pytest.raises(ValueError, match="only predict"):
        model(images(tmp_path, 1), [sample(1)], mode="loss")
