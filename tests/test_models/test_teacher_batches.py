"""Several timesteps in one pass of the denoiser give the edges that one at a time gives."""

import gc
import weakref

import pytest
import torch

from trace_mm.models import TraceTeacher

TIMESTEPS = tuple(range(0, 1000, 100))


@pytest.fixture(params=["sd15_folder", "flow_folder"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def image():
    return torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("draws", [1, 2])
def test_batches_change_nothing_but_rounding(folder, image, draws):
    alone, *batched = (
        TraceTeacher({"pretrained": folder}, timestep_batch=batch, noise_draws=draws)
        for batch in (1, 3, 10)
    )
    expected = alone.predict([image])[0]
    for teacher in batched:
        found = teacher.predict([image])[0]
        assert list(found.scores) == list(expected.scores)  # in the order of the search
        assert found.scores == pytest.approx(expected.scores, rel=1e-3)
        assert found.timestep == expected.timestep
        torch.testing.assert_close(found.pred_edges, expected.pred_edges, atol=1e-4, rtol=1e-4)


def test_maps_are_those_of_each_timestep_alone(folder, image):
    alone, batched = (
        TraceTeacher({"pretrained": folder}, timestep_batch=batch) for batch in (1, 3)
    )
    pairs = zip(alone.attention_maps(image), batched.attention_maps(image), strict=True)
    for step, ((expected_step, expected, grid), found) in zip(TIMESTEPS, pairs, strict=True):
        assert found[0] == expected_step == step and found[2] == grid
        torch.testing.assert_close(found[1], expected, atol=1e-6, rtol=1e-5)


def test_passes_run_when_their_maps_are_asked_for(folder, image, monkeypatch):
    teacher = TraceTeacher({"pretrained": folder}, timestep_batch=4)
    passes, maps_of_passes = [], []
    read = teacher.backbone.attention

    def record(noisy, timesteps, text):
        gc.collect()
        assert not any(made() is not None for made in maps_of_passes)  # freed before the next pass
        passes.append(list(timesteps))
        found = read(noisy, timesteps, text)
        maps_of_passes.append(weakref.ref(found))
        return found

    monkeypatch.setattr(teacher.backbone, "attention", record)
    maps = teacher.attention_maps(image)
    held = [next(maps) for _ in range(4)]
    assert passes == [[0, 100, 200, 300]]
    held += list(maps)
    assert passes[1:] == [[400, 500, 600, 700], [800, 900]]
    sizes = {attention.untyped_storage().nbytes() for _, attention, _ in held}
    assert sizes == {held[0][1].numel() * 4}  # none holds the memory of a whole pass


def test_an_empty_batch_is_refused(flow_folder):
    with pytest.raises(ValueError, match="timestep_batch must be an integer from 1 on, got 0"):
        TraceTeacher({"pretrained": flow_folder}, timestep_batch=0)
