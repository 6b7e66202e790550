"""The teacher reads edges out of every family of denoisers."""

import pytest
import torch

from tests.conftest import SAVED_BY
from tests.tiny_students import images_of
from trace_mm.models import TraceTeacher


@pytest.mark.parametrize("name", SAVED_BY)
def test_edges_of_every_family(model_folder, name):
    """Among them t = 0, which is no noise at all for flow matching."""
    timesteps = (0, 300, 600, 900)
    teacher = TraceTeacher({"pretrained": str(model_folder(name, 5))}, size=16, timesteps=timesteps)
    images = [*images_of(1, (16, 24)), *images_of(1, (33, 20), seed=1)]
    for image, sample in zip(images, teacher.predict(images), strict=True):
        edges = sample.pred_edges
        assert edges.shape == image.shape[1:] and edges.isfinite().all()
        assert edges.min() >= 0 and edges.max() <= 1 and edges.std() > 0
        assert sample.timestep in timesteps[1:]
        assert set(sample.scores) == set(timesteps[1:])
        assert all(score > 0 for score in sample.scores.values())
    alone = teacher.predict(images[1:])[0].pred_edges
    assert torch.equal(alone, edges)
