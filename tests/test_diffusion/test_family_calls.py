"""A pass is what the model's own diffusers pipeline does in each of its steps."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline

from tests.conftest import SAVED_BY
from tests.tiny_pipelines import load_pipeline
from trace_mm.diffusion import load_backbone, text_encoders

HEIGHT, WIDTH, STRIDE = 24, 16, 2  # pixels of the image, and what a latent pixel spans
PIXART = {"clean_caption": False, "use_resolution_binning": False}
OPTIONS = {
    "pixart-alpha": PIXART,
    "pixart-sigma": PIXART,
    "flux-schnell": {"max_sequence_length": 256},
}


def run_pipeline(name, folder):
    """Input, timestep and output of each of the denoiser's passes in a run of four steps."""
    pipeline = load_pipeline(folder, t5=torch.float32)
    if "FlowMatch" in type(pipeline.scheduler).__name__:
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler()  # whole timesteps
    denoiser = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    calls = []

    def keep(module, args, kwargs, output):
        sample = args[0] if args else kwargs["hidden_states"]
        timestep = args[1] if len(args) > 1 else kwargs["timestep"]
        calls.append((sample, timestep.flatten()[0].item(), output[0]))

    denoiser.register_forward_hook(keep, with_kwargs=True)
    pipeline(
        "",
        height=HEIGHT,
        width=WIDTH,
        num_inference_steps=4,
        guidance_scale=1.0,
        num_images_per_prompt=2,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        **OPTIONS.get(name, {}),
    )
    return calls


@pytest.mark.parametrize("name", SAVED_BY)
@torch.no_grad()
def test_a_pass_is_that_of_the_pipeline(model_folder, monkeypatch, name):
    """Conditions, their order, scales and sizes; packing; the empty prompt."""
    monkeypatch.setattr(text_encoders, "_T5_DTYPE", torch.float32)
    folder = model_folder(name)
    backbone = load_backbone(folder)
    calls = run_pipeline(name, folder)
    assert len(calls) == 4
    for sample, timestep, output in calls:
        if name.startswith("flux"):
            size = (HEIGHT, WIDTH, STRIDE)
            sample = FluxPipeline._unpack_latents(sample, *size)
            output = FluxPipeline._unpack_latents(output, *size)
            timestep *= 1000
        assert timestep == int(timestep) and sample.shape[0] == 2
        found = backbone.denoise(sample, int(timestep))
        # PixArt's other half of channels is a variance.
        expected = output[:, : sample.shape[1]]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert expected.std() > 0.01


@pytest.mark.parametrize("name", SAVED_BY)
@torch.no_grad()
def test_each_item_of_a_batch_may_have_its_own_timestep(model_folder, name):
    backbone = load_backbone(model_folder(name, 5))
    noisy = torch.randn(3, backbone.vae.config.latent_channels, 8, 4)
    together = backbone.denoise(noisy, (0, 300, 900))
    for item, timestep in enumerate((0, 300, 900)):
        alone = backbone.denoise(noisy[item : item + 1], timestep)
        torch.testing.assert_close(together[item : item + 1], alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(backbone.denoise(noisy, 300), together, atol=1e-3)
