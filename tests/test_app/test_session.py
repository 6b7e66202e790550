"""What the page computes, against the models themselves."""

import numpy as np
import pytest
import torch

from trace_mm.apis import TraceInferencer
from trace_mm.app import session
from trace_mm.app.attention import PhotoAttention
from trace_mm.app.found import View
from trace_mm.app.session import TEACHER, AppModels, Reading
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.refinement import BoundaryGuidedPropagation, InstanceMasks
from trace_mm.segments import EdgeSegments
from trace_mm.structures import edges_of

SMALL = 64  # what models are shown, so that a pass is quick


@pytest.fixture(scope="module")
def photo():
    pixels = np.full((40, 56, 3), 0.4, np.float32)
    pixels[8:30, 6:24] = (0.9, 0.2, 0.1)
    pixels[12:34, 30:50] = (0.1, 0.3, 0.9)
    return NamedImage("two.png", pixels)


@pytest.fixture(scope="module")
def models():
    return AppModels(device="cpu")


@pytest.mark.parametrize(
    ("reading", "options"),
    [
        (Reading("trace-tiny", size=SMALL), {"model": "trace-tiny", "method": "student"}),
        (
            Reading("trace-tiny", size=SMALL, timestep=120),
            {"model": "trace-tiny", "method": "student", "timestep": 120},
        ),
        (Reading(TEACHER, size=SMALL), {"backbone": "trace-tiny"}),
        (Reading(TEACHER, size=SMALL, timestep=200), {"backbone": "trace-tiny", "timestep": 200}),
    ],
)
def test_a_reading_is_what_a_new_model_would_see(models, photo, reading, options):
    models.read(photo, Reading(reading.model, size=96, timestep=300))  # leaves nothing behind
    found = models.read(photo, reading)
    fresh = TraceInferencer(**options, size=SMALL, device="cpu", show_progress=False)
    (sample,) = fresh.predict_images([photo.pixels])
    np.testing.assert_array_equal(found.edges, edges_of(sample))
    assert (found.timestep, found.curve) == (sample.timestep, sample.scores)
    expected = EdgeSegments(number=100)(edges_of(sample))
    np.testing.assert_array_equal(found.masks(View(number=100)).masks, expected.masks)


@pytest.mark.parametrize("reading", [Reading("/etc"), Reading(TEACHER, backbone="some/model")])
def test_only_what_is_offered_is_loaded(models, photo, reading):
    with pytest.raises(ValueError, match="is none of"):
        models.read(photo, reading)


def test_a_timestep_that_the_model_does_not_have(models, photo):
    with pytest.raises(ValueError, match="timestep"):
        models.read(photo, Reading("trace-tiny", size=SMALL, timestep=5000))


def test_refined_masks_are_those_of_the_refiner(models, photo):
    found = models.read(photo, Reading("trace-tiny", size=SMALL))
    masks = np.zeros((1, 40, 56), bool)
    masks[0, 10:28, 8:22] = True
    source = InstanceMasks(masks, np.array([7]))
    refined = models.refine(photo, found, source).masks(View(number=100))
    expected = BoundaryGuidedPropagation(preset="photos")(source, found.edges).instances
    assert len(refined) == len(expected) > 0
    assert {mask.tobytes() for mask in refined.masks} == {mask.tobytes() for mask in expected.masks}
    assert set(refined.labels) == {1}  # classes of a stranger's file have no names here
    strong = np.where(found.edges >= 0.3, found.edges, np.float32(0))
    again = models.refine(photo, found, source).masks(View(number=100, threshold=0.3))
    expected = BoundaryGuidedPropagation(preset="photos")(source, strong).instances
    assert {mask.tobytes() for mask in again.masks} == {mask.tobytes() for mask in expected.masks}


def test_attention_is_the_teacher_s(models, photo):
    found = models.attention(photo, "trace-tiny")
    teacher = TraceInferencer(backbone="trace-tiny", device="cpu", show_progress=False)
    (sample,) = teacher.predict_images([photo.pixels])
    assert (found.chosen, found.scores) == (sample.timestep, sample.scores)
    image = torch.from_numpy(photo.pixels).permute(2, 0, 1)
    maps = list(teacher.model.attention_maps(image))
    assert [step for step, *_ in maps] == list(found.timesteps)
    for (_, attention, grid), kept in zip(maps, found.maps, strict=True):
        assert grid == found.grid
        np.testing.assert_allclose(kept, attention[0].numpy() * len(kept), rtol=2e-3, atol=1e-4)
    assert models.attention(photo, "trace-tiny") is found  # of another click


def test_attention_of_few_photos_is_kept(models, photo, monkeypatch):
    read = []
    monkeypatch.setattr(session, "read_attention", lambda *found: read.append(found) or object())
    own = NamedImage("own.png", np.full_like(photo.pixels, 0.1))
    first = models.attention(own, "trace-tiny")
    assert models.attention(own, "trace-tiny") is first and len(read) == 1
    for shade in (0.2, 0.7):
        models.attention(NamedImage("grey.png", np.full_like(photo.pixels, shade)), "trace-tiny")
    assert models.attention(own, "trace-tiny") is not first and len(read) == 4


def test_heat_of_a_place():
    """Token 4 of a grid of 2 x 3, in the lower row: half to itself, a quarter to token 0."""
    attention = np.full((6, 6), 1.0, np.float16)
    attention[4] = [1.5, 0.1, 0.1, 0.1, 3.0, 0.1]
    found = PhotoAttention((0,), [attention], (2, 3), 0, {})
    heat = found.heat(0, (0.5, 0.9))
    assert heat.shape == (2, 3) and heat[1, 1] == 1 and heat[0, 1] == heat[1, 2] == 0
    assert 0.4 < heat[0, 0] < 0.55
    assert [found.token(place) for place in [(0, 0), (1, 0), (0, 1), (1, 1)]] == [0, 2, 3, 5]
