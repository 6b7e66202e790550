"""How each family's noise is mixed in, and what a perfect denoiser's output means."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from tests.conftest import SAVED_BY
from trace_mm.diffusion import load_backbone
from trace_mm.diffusion.forward_process import add_noise

FLOW = {"sd3", "sd35", "flux-dev", "flux-schnell"}
PIXART = {"pixart-alpha", "pixart-sigma"}
LATENTS, NOISE = torch.randn(2, 2, 4, 6, 4, generator=torch.Generator().manual_seed(0))


def signal_of(name, timestep):
    """The product of 1 - beta up to a timestep, from the betas of the published config."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2
    if name in PIXART:
        betas = np.linspace(0.0001, 0.02, 1000, dtype=np.float64)
    if name == "sdxl":  # the tiny one leaves the ends to the scheduler
        betas = np.linspace(0.0001**0.5, 0.02**0.5, 1000, dtype=np.float64) ** 2
    return float(np.prod(1 - betas[: timestep + 1]))


@pytest.mark.parametrize("name", SAVED_BY)
def test_noise_is_mixed_in_as_the_model_was_trained(model_folder, name):
    backbone = load_backbone(model_folder(name, 5))
    assert backbone.is_flow_matching == (name in FLOW)
    for timestep in (0, 1, 400, 999):
        if name in FLOW:
            expected = (1 - timestep / 1000) * LATENTS + timestep / 1000 * NOISE
        else:
            signal = signal_of(name, timestep)
            expected = signal**0.5 * LATENTS + (1 - signal) ** 0.5 * NOISE
        found = backbone.add_noise(LATENTS, NOISE, timestep)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "options", [{"shift": 3.0}, {"shift": 0.5}, {"use_dynamic_shifting": True}]
)
def test_a_shift_of_the_sampler_moves_no_noise_level(options):
    """Shifts choose at which levels a sampler stops, and do not say what a level is."""
    found = add_noise(FlowMatchEulerDiscreteScheduler(**options), LATENTS, NOISE, 250)
    torch.testing.assert_close(found, 0.75 * LATENTS + 0.25 * NOISE)


@pytest.mark.parametrize("name", SAVED_BY)
@pytest.mark.parametrize("timestep", [1, 400, 900])
def test_a_perfect_denoiser_reconstructs_the_image(model_folder, name, timestep):
    backbone = load_backbone(model_folder(name, 5))
    noisy = backbone.add_noise(LATENTS, NOISE, timestep)
    output = NOISE
    if name in FLOW:
        output = NOISE - LATENTS
    if name == "sd21":  # alpha e - sigma x0 is the definition of v
        signal = signal_of(name, timestep)
        output = signal**0.5 * NOISE - (1 - signal) ** 0.5 * LATENTS
    found = backbone.reconstruct(noisy, output, timestep)
    torch.testing.assert_close(found, LATENTS, atol=1e-4, rtol=1e-3)
