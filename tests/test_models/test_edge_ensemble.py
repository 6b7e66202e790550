import math

import numpy as np
import pytest
import torch

from trace_mm.models import EdgeEnsemble, SobelDetector, TraceTeacher
from trace_mm.models.identity import describe_model

SOBEL = {"type": "SobelDetector", "sigma": 1.0}
WIDE = {"type": "SobelDetector", "sigma": 3.0}


def image_of(seed, size=(24, 32)):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


def tempered(p, temper, gamma):
    """From the docstring's formula, in float64."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    logit = temper * math.log(p / (1 - p))
    return (1 / (1 + math.exp(-logit))) ** gamma


def test_the_mean_of_tempered_edges():
    image = image_of(0)
    ensemble = EdgeEnsemble([{"model": SOBEL, "temper": 1 / 3}, {"model": WIDE, "gamma": 0.5}])
    found = ensemble.predict([image])[0].pred_edges
    one, other = (SobelDetector(sigma)([image])[0].pred_edges.numpy() for sigma in (1.0, 3.0))
    expected = [
        [(tempered(p, 1 / 3, 1) + tempered(q, 1, 0.5)) / 2 for p, q in zip(*rows, strict=True)]
        for rows in zip(one.tolist(), other.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6)


def test_one_member_is_that_member():
    images = [image_of(1), image_of(2, (20, 20))]
    found = EdgeEnsemble([{"model": SOBEL}]).predict(images)
    for sample, image in zip(found, images, strict=True):
        alone = SobelDetector(1.0)([image])[0].pred_edges
        torch.testing.assert_close(sample.pred_edges, alone, atol=2e-6, rtol=0)


def test_token_edges_are_those_of_the_finest_grid(flow_folder):
    teacher = {"type": "TraceTeacher", "backbone": {"pretrained": str(flow_folder)}, "timestep": 0}
    members = [{"model": {**teacher, "size": size}} for size in (32, 64)]
    sample = EdgeEnsemble(members).predict([image_of(3, (64, 64))])[0]
    options = {"timestep": 0, "backbone": {"pretrained": str(flow_folder)}}
    grids = [
        TraceTeacher(**options, size=size).predict([image_of(3, (64, 64))])[0].token_edges.shape
        for size in (32, 64)
    ]
    assert sample.token_edges.shape == grids[1] != grids[0]
    assert sample.pred_edges.shape == (64, 64)
    mixed = EdgeEnsemble([*members, {"model": SOBEL}]).predict([image_of(3, (64, 64))])[0]
    assert "token_edges" not in mixed  # Sobel has no grid


def test_its_identity_is_that_of_its_members():
    described = describe_model({"type": "EdgeEnsemble", "members": [{"model": SOBEL}]})
    other = describe_model({"type": "EdgeEnsemble", "members": [{"model": WIDE}]})
    assert described["model"] == "EdgeEnsemble" and described != other


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least one member"):
        EdgeEnsemble([])
    with pytest.raises(ValueError, match="temper and gamma"):
        EdgeEnsemble([{"model": SOBEL, "weight": 2}])
    with pytest.raises(ValueError, match="must be positive"):
        EdgeEnsemble([{"model": SOBEL, "gamma": 0}])
    with pytest.raises(ValueError, match="can only predict"):
        EdgeEnsemble([{"model": SOBEL}])([image_of(0)], mode="loss")
