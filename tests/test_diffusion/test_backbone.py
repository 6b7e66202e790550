import re

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from trace_mm.attention import AttentionLayer, AttentionTap, PooledKeys
from trace_mm.diffusion import load_backbone
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


def test_layers_whose_attention_is_not_seen_are_named(sd15_folder):
    backbone = load_backbone(sd15_folder)
    layer = backbone.layers[2]
    layer.module.set_processor(AttnProcessor())
    with pytest.raises(ValueError, match=f"{layer.name}: no call of scaled_dot_product_attention"):
        backbone.attention(torch.randn(1, 4, 8, 8), 100)


def test_images_beyond_a_models_positions_are_refused_in_pixels(model_folder):
    backbone = load_backbone(model_folder("sd3", 5))
    longest = backbone.longest_side
    multiple = backbone.size_multiple
    with pytest.raises(ValueError, match=f"at most {longest} pixels a side.*--tile"):
        backbone.encode(torch.zeros(1, 3, multiple, longest + multiple))
    latents = backbone.encode(torch.zeros(1, 3, multiple, longest))
    assert backbone.attention(latents, 100).shape[1] == longest // multiple


def test_a_model_without_vae_works_on_pixels(tmp_path):
    from tests.tiny_models import save_flow

    backbone = load_backbone(save_flow(tmp_path, vae=False))
    latents = backbone.encode(torch.full((1, 3, 4, 8), 0.75))
    torch.testing.assert_close(latents, torch.full((1, 3, 4, 8), 0.5))
    assert backbone.attention(latents, 0).shape == (1, 32, 32)


def test_decoding_undoes_shift_and_scale(flow, sd15):
    latents = torch.randn(1, 4, 4, 6)
    for backbone, raw in ((flow, latents / 0.7 + 0.3), (sd15, latents / 0.18215)):
        with torch.no_grad():
            expected = backbone.vae.decode(raw).sample / 2 + 0.5
            found = backbone.decode(latents)
        assert found.shape == (1, 3, 8, 12)
        torch.testing.assert_close(found, expected)


def test_the_least_noisy_timestep_has_some_noise(flow, sd15):
    assert (flow.least_noisy_timestep, sd15.least_noisy_timestep) == (1, 0)
    latents, noise = torch.randn(2, 1, 4, 4, 4)
    for backbone in (flow, sd15):
        noisy = backbone.add_noise(latents, noise, backbone.least_noisy_timestep)
        assert 0 < (noisy - latents).abs().mean() < 0.05


@pytest.mark.parametrize("timestep", [0, 1, 400, 900])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow"])
def test_a_perfect_denoiser_reconstructs_the_image(sd15, flow, kind, timestep, monkeypatch):
    backbone = flow if kind == "flow" else sd15
    if kind != "flow":
        scheduler = type(sd15.scheduler).from_config(sd15.scheduler.config, prediction_type=kind)
        monkeypatch.setattr(sd15, "scheduler", scheduler)
    latents, noise = torch.randn(2, 1, 4, 4, 4)
    noisy = backbone.add_noise(latents, noise, timestep)
    if kind == "flow":
        output = noise - latents
    else:  # alpha e - sigma x0 is the definition of v
        signal = backbone.scheduler.alphas_cumprod[timestep]
        velocity = signal.sqrt() * noise - (1 - signal).sqrt() * latents
        output = {"epsilon": noise, "v_prediction": velocity, "sample": latents}[kind]
    found = backbone.reconstruct(noisy, output, timestep)
    torch.testing.assert_close(found, latents, atol=1e-4, rtol=1e-4)


def test_unknown_kinds_of_prediction_are_refused(sd15, monkeypatch):
    scheduler = type(sd15.scheduler).from_config(sd15.scheduler.config, prediction_type="flow")
    monkeypatch.setattr(sd15, "scheduler", scheduler)
    with pytest.raises(ValueError, match="predictions of type 'flow'"):
        sd15.reconstruct(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2), 0)


def test_one_pass_gives_output_and_attention(flow):
    latents = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        output, attention = flow.denoise_and_attend(latents, 1)
        torch.testing.assert_close(output, flow.denoise(latents, 1))
        torch.testing.assert_close(attention, flow.attention(latents, 1))


def test_a_pass_for_attention_ends_after_the_last_layer_that_is_read(flow_folder):
    backbone = load_backbone(flow_folder, layers=r"^down_blocks")
    latents, ran = torch.randn(1, 4, 8, 8), []
    backbone.denoiser.conv_out.register_forward_hook(lambda *_: ran.append(True))
    with torch.no_grad():
        stopped = backbone.attention(latents, 300)
        assert not ran
        _, whole = backbone.denoise_and_attend(latents, 300)
    assert ran
    torch.testing.assert_close(stopped, whole)  # the layers' own results are rounded elsewhere


def test_finest_layers_that_are_not_read_can_attend_to_cells(flow_folder):
    latents = torch.randn(1, 4, 8, 8)
    everything = load_backbone(flow_folder)
    finest = min(layer.stride for layer in everything.layers)
    names = [layer.name for layer in everything.layers if layer.stride == finest]
    backbone = load_backbone(flow_folder, layers=f"^{re.escape(names[-1])}$")
    with torch.no_grad():
        plain = backbone.attention(latents, 300)
        pooled = backbone.attention(latents, 300, key_cell=2)
        unread = [
            AttentionLayer(name, backbone.denoiser.get_submodule(name), finest)
            for name in names[:-1]
        ]
        with PooledKeys(unread, (8, 8), 2):
            torch.testing.assert_close(pooled, backbone.attention(latents, 300))
        assert not torch.allclose(pooled, plain, atol=1e-6)
        read = everything.attention(latents, 300, key_cell=2)  # all: none is left to be pooled
        torch.testing.assert_close(read, everything.attention(latents, 300), atol=0, rtol=0)


def test_autocast_does_not_lower_the_precision_of_maps(flow):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output, attention = flow.denoise_and_attend(torch.randn(1, 4, 8, 8), 1)
        latents = flow.encode(torch.rand(1, 3, 8, 8))
    assert output.dtype == torch.bfloat16  # it did compute in half precision
    assert attention.dtype == latents.dtype == torch.float32
    torch.testing.assert_close(attention.sum(-1), torch.ones(1, 64))


def gradients(backbone, latents):
    """Maps, and gradients of all weights that a function of both results has."""
    backbone.denoiser.requires_grad_(True)
    output, attention = backbone.denoise_and_attend(latents, 1)
    weights = torch.linspace(0, 1, attention.numel()).view_as(attention)
    ((attention * weights).sum() + output.square().sum()).backward()
    found = {name: p.grad for name, p in backbone.denoiser.named_parameters()}
    assert all(gradient is not None for gradient in found.values())
    return attention.detach(), found


def test_gradient_checkpointing_changes_no_gradient(flow_folder):
    """A recomputed layer's map must neither be missed nor counted twice."""
    latents = torch.randn(2, 4, 8, 12)
    plain, checkpointed = load_backbone(flow_folder), load_backbone(flow_folder)
    checkpointed.enable_gradient_checkpointing()
    calls = []
    block = checkpointed.layers[0].name.removesuffix(".attn1")
    checkpointed.denoiser.get_submodule(block).register_forward_pre_hook(
        lambda *_: calls.append(block)
    )
    expected_map, expected = gradients(plain, latents)
    found_map, found = gradients(checkpointed, latents)
    assert len(calls) == 2  # forward, and again in the backward pass
    assert torch.equal(found_map, expected_map)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)
    assert not any(layer.module._forward_pre_hooks for layer in checkpointed.layers)


def test_decoding_can_be_checkpointed(flow_folder):
    def gradient(checkpointed):
        backbone = load_backbone(flow_folder)
        if checkpointed:
            backbone.enable_gradient_checkpointing()
        latents = torch.linspace(-1, 1, 64).view(1, 4, 4, 4).requires_grad_()
        backbone.decode(latents).square().sum().backward()
        return latents.grad

    torch.testing.assert_close(gradient(True), gradient(False))
