import numpy as np
import pytest
import torch

from trace_mm.diffusion import AttentionTap, load_backbone
from trace_mm.ops import fuse_attention


@pytest.fixture(scope="module")
def flow(flow_folder):
    return load_backbone(flow_folder)


@pytest.fixture(scope="module")
def sd15(sd15_folder):
    return load_backbone(sd15_folder)


def test_sizes(flow):
    assert (flow.latent_stride, flow.size_multiple, flow.native_size) == (2, 4, 16)


def test_latents_are_shifted_and_scaled_as_the_config_says(flow):
    image = torch.rand(1, 3, 16, 8)
    with torch.no_grad():
        raw = flow.vae.encode(image * 2 - 1).latent_dist.mode()
    torch.testing.assert_close(flow.encode(image), (raw - 0.3) * 0.7)


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 1, 8, 8), "must be"), ((1, 3, 8, 9), "divisible by 4")]
)
def test_images_that_do_not_fit_are_refused(flow, shape, message):
    with pytest.raises(ValueError, match=message):
        flow.encode(torch.zeros(shape))


def test_flow_matching_mixes_noise_in_linearly(flow):
    latents, noise = torch.randn(2, 1, 4, 4, 4)
    for timestep in (0, 300, 900):
        expected = (1 - timestep / 1000) * latents + timestep / 1000 * noise
        torch.testing.assert_close(flow.add_noise(latents, noise, timestep), expected)


@pytest.mark.parametrize("folder", ["sd15_folder", "sdxl_folder"])
def test_samplers_are_replaced_by_the_schedule_of_training(folder, request):
    """Eq. 3 with alpha and sigma from the betas, whatever sampler the folder names."""
    backbone = load_backbone(request.getfixturevalue(folder))
    config = backbone.scheduler.config
    betas = np.linspace(config.beta_start**0.5, config.beta_end**0.5, 1000, dtype=np.float64) ** 2
    latents, noise = torch.randn(2, 1, 4, 4, 4)
    for timestep in (0, 400, 999):
        signal = 1.0
        for beta in betas[: timestep + 1]:
            signal *= 1.0 - beta
        expected = signal**0.5 * latents + (1 - signal) ** 0.5 * noise
        found = backbone.add_noise(latents, noise, timestep)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_timesteps_outside_the_schedule_are_refused(sd15, flow):
    for backbone in (sd15, flow):
        with pytest.raises(ValueError, match=r"timestep must be in \[0, 1000\), got 1000"):
            backbone.add_noise(torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 4, 4), 1000)


@pytest.mark.parametrize("folder", ["sd15_folder", "sdxl_folder", "flow_folder"])
def test_attention_is_the_fusion_of_all_layers(folder, request):
    backbone = load_backbone(request.getfixturevalue(folder))
    latents = torch.randn(1, 4, 8, 12)
    maps, grids = [], []

    def receive(layer, attention):
        maps.append(attention)
        grids.append((8 // layer.stride, 12 // layer.stride))

    with torch.no_grad(), AttentionTap(backbone.layers, receive):
        backbone.denoise(latents, 500)
    with torch.no_grad():
        found = backbone.attention(latents, 500)
    assert found.shape == (1, 96, 96) and backbone.grid(latents) == (8, 12)
    torch.testing.assert_close(found, fuse_attention(maps, grids))
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 96))


def test_a_model_without_vae_works_on_pixels(tmp_path):
    from tests.tiny_models import save_flow

    backbone = load_backbone(save_flow(tmp_path, vae=False))
    latents = backbone.encode(torch.full((1, 3, 4, 8), 0.75))
    torch.testing.assert_close(latents, torch.full((1, 3, 4, 8), 0.5))
    assert backbone.attention(latents, 0).shape == (1, 32, 32)
