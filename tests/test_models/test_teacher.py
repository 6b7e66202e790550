import json
import shutil

import pytest
import torch

from trace_mm.models import TraceTeacher
from trace_mm.ops import (
    attention_boundary_divergence,
    emergence_point,
    normalize_edges,
    region_attention,
    upsample_edges,
)
from trace_mm.registry import MODELS
from trace_mm.structures import EdgeDataSample

TIMESTEPS = (0, 300, 600)


def build(folder, **options):
    return TraceTeacher({"pretrained": folder}, **{"timesteps": TIMESTEPS, **options})


@pytest.fixture(scope="module")
def teacher(flow_folder):
    return build(flow_folder)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, *size, generator=generator) for size in ((16, 16), (20, 33), (16, 16))]


def test_the_paper_is_the_default(sd15_folder):
    teacher = TraceTeacher({"pretrained": sd15_folder})
    assert teacher.timesteps == tuple(range(0, 1000, 100))
    assert (teacher.timestep, teacher.divergence, teacher.noise_draws) == ("iep", "kl", 1)
    assert (teacher.region_cell, teacher.walk_steps) == (1, 1)
    assert teacher.size == 16  # the native size


def test_edges_are_eq_1_then_eq_2(teacher, images):
    found = teacher.predict(images[:1])[0]
    maps = [(timestep, attention) for timestep, attention, _ in teacher.attention_maps(images[0])]
    best = emergence_point(maps)
    boundary = attention_boundary_divergence(best.attention, (8, 8))
    expected = normalize_edges(upsample_edges(boundary, (16, 16), "bicubic"))[0, 0]
    assert found.timestep == best.timestep and found.scores == best.scores
    torch.testing.assert_close(found.pred_edges, expected)


def test_every_image_keeps_its_size(teacher, images):
    for image, sample in zip(images, teacher.predict(images), strict=True):
        assert sample.pred_edges.shape == image.shape[1:]
        assert sample.pred_edges.dtype == torch.float32
        assert sample.pred_edges.min() >= 0 and sample.pred_edges.max() <= 1
        assert set(sample.scores) == {300, 600} and sample.timestep in sample.scores


def test_results_do_not_depend_on_batch_or_order(teacher, images):
    together = [sample.pred_edges for sample in teacher.predict(images)]
    alone = [teacher.predict([image])[0].pred_edges for image in reversed(images)]
    assert all(torch.equal(a, b) for a, b in zip(together, reversed(alone), strict=True))


def test_the_seed_matters(flow_folder, images):
    first, second = (
        build(flow_folder, seed=seed).predict(images[:1])[0].pred_edges for seed in (0, 1)
    )
    assert not torch.equal(first, second)


def test_a_fixed_timestep_skips_the_search(flow_folder, images):
    sample = build(flow_folder, timestep=300).predict(images[:1])[0]
    assert sample.timestep == 300 and sample.scores == {}


def test_draws_are_averaged(flow_folder, images):
    teacher = build(flow_folder, noise_draws=3)
    image = images[0]
    _, found, _ = next(teacher.attention_maps(image, [600]))
    from trace_mm.diffusion import content_seed, seeded_noise

    latents = teacher.backbone.encode(image[None])
    noise = seeded_noise(content_seed(0, image), tuple(latents.shape), 3)
    each = [
        teacher.backbone.attention(teacher.backbone.add_noise(latents, draw, 600), 600)
        for draw in noise
    ]
    torch.testing.assert_close(found, torch.stack(each).mean(0))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (700, 1), (3, 2)])
def test_thin_images_work(teacher, size):
    sample = teacher.predict([torch.rand(3, *size)])[0]
    assert sample.pred_edges.shape == size and torch.isfinite(sample.pred_edges).all()


def test_attention_is_compared_by_regions(flow_folder, images):
    _, attention, grid = next(build(flow_folder).attention_maps(images[0], [300]))
    regions = region_attention(attention, grid, cell=3, steps=2)
    boundary = attention_boundary_divergence(regions, grid)
    expected = normalize_edges(upsample_edges(boundary, (16, 16), "bicubic"))[0, 0]
    teacher = build(flow_folder, region_cell=3, walk_steps=2, timestep=300)
    torch.testing.assert_close(teacher.predict(images[:1])[0].pred_edges, expected)


def test_an_image_is_shown_at_the_area_of_the_given_size(flow_folder):
    image = torch.rand(3, 16, 64)
    _, _, grid = next(build(flow_folder, size=16).attention_maps(image, [300]))
    assert grid == (4, 16)  # a token is 2 pixels; 8x32 pixels have the area of 16x16
    _, _, grid = next(build(flow_folder, size=32).attention_maps(image, [300]))
    assert grid == (8, 32)


def test_tiles_of_an_image_that_fits_in_one_change_nothing(flow_folder, images):
    plain, tiled = (build(flow_folder, tile=tile).predict(images[:1])[0] for tile in (None, 16))
    assert torch.equal(plain.pred_edges, tiled.pred_edges)


def test_tiles_read_each_part_at_the_timestep_of_the_whole(flow_folder):
    image = torch.rand(3, 16, 40)
    plain, tiled = (build(flow_folder, tile=tile).predict([image])[0] for tile in (None, 16))
    assert tiled.timestep == plain.timestep and tiled.scores == plain.scores
    assert tiled.pred_edges.shape == (16, 40) and tiled.pred_edges.max() > 0.5
    first = build(flow_folder, timestep=plain.timestep)
    _, attention, grid = next(first.attention_maps(image[:, :, :16], [plain.timestep]))
    boundary = upsample_edges(attention_boundary_divergence(attention, grid), (16, 16), "bicubic")[
        0, 0, :, :10
    ]  # no other tile reaches these columns
    shown = tiled.pred_edges[:, :10]
    correlation = torch.corrcoef(torch.stack([boundary.flatten(), shown.flatten()]))[0, 1]
    assert correlation > 0.999


def test_the_folder_recommends_settings_and_arguments_override_them(flow_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(flow_folder, folder)
    settings = {"timesteps": [0, 200], "noise_draws": 2, "size": 8, "layers": "up_blocks"}
    (folder / "trace.json").write_text(json.dumps(settings))
    teacher = TraceTeacher({"pretrained": folder}, noise_draws=1)
    assert teacher.timesteps == (0, 200) and teacher.size == 8 and teacher.noise_draws == 1
    assert all(layer.name.startswith("up_blocks") for layer in teacher.backbone.layers)


def test_it_is_registered_and_runs_a_test_step(flow_folder, images):
    config = {
        "type": "TraceTeacher",
        "backbone": {"pretrained": str(flow_folder)},
        "timesteps": TIMESTEPS,
    }
    teacher = MODELS.build(config)
    batch = {"inputs": images[:2], "data_samples": [EdgeDataSample(), EdgeDataSample()]}
    assert [sample.pred_edges.shape for sample in teacher.test_step(batch)] == [(16, 16), (20, 33)]


def test_nonsense_is_refused(teacher, flow_folder):
    with pytest.raises(ValueError, match="timestep must be 'iep' or an integer"):
        build(flow_folder, timestep="best")
    with pytest.raises(ValueError, match="walk_steps must be at least 1, got 1 and 0"):
        build(flow_folder, walk_steps=0)
    with pytest.raises(ValueError, match="no mode 'loss'"):
        teacher([torch.rand(3, 8, 8)], mode="loss")
    with pytest.raises(ValueError, match=r"an image must be \(3, H, W\)"):
        teacher.predict([torch.rand(1, 8, 8)])
