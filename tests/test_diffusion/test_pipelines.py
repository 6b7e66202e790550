"""A pipeline that is in memory already is a backbone, without a second copy of it."""

import pickle

import pytest
import torch

from tests.tiny_pipelines import load_pipeline
from trace_mm.apis import TraceInferencer
from trace_mm.diffusion import backbone_of_pipeline, load_backbone

FAMILIES = ["sd15", "sdxl", "sd3", "pixart-alpha", "flux-dev"]


@pytest.fixture
def image():
    return torch.rand(64, 64, 3, generator=torch.manual_seed(0)).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_reads_what_the_folder_holds(family, model_folder):
    path = model_folder(family)
    pipeline = load_pipeline(path)
    backbone, expected = backbone_of_pipeline(pipeline), load_backbone(path)
    assert backbone.denoiser is (getattr(pipeline, "unet", None) or pipeline.transformer)
    assert backbone.vae is pipeline.vae
    assert backbone.null_text.keys() == expected.null_text.keys()
    for name, tensor in expected.null_text.items():
        torch.testing.assert_close(backbone.null_text[name], tensor, atol=1e-5, rtol=1e-5)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.manual_seed(1))
    maps = [
        model.attention(model.add_noise(model.encode(pixels), torch.zeros(()), 500), 500)
        for model in (backbone, expected)
    ]
    torch.testing.assert_close(maps[0], maps[1], atol=1e-5, rtol=1e-4)


def test_edges_are_those_of_the_folder(sd15_folder, image):
    pipeline = load_pipeline(sd15_folder)
    shared = TraceInferencer.from_pipeline(pipeline, timestep=300, size=64, show_progress=False)
    loaded = TraceInferencer(
        str(sd15_folder), "teacher", "cpu", timestep=300, size=64, show_progress=False
    )
    edges, expected = (each(image)["predictions"][0]["edges"] for each in (shared, loaded))
    torch.testing.assert_close(edges, expected, atol=1e-5, rtol=1e-4)
    assert pipeline("", num_inference_steps=1, output_type="np").images.shape[0] == 1
    assert "method='teacher'" in repr(shared)


def test_other_weights_are_other_settings(sd15_folder):
    pipeline = load_pipeline(sd15_folder)
    before = TraceInferencer.from_pipeline(pipeline).settings()
    assert TraceInferencer.from_pipeline(pipeline).settings() == before
    assert TraceInferencer.from_pipeline(pipeline, timestep=100).settings() != before
    with torch.no_grad():
        for weights in pipeline.unet.parameters():
            weights += 1
    assert TraceInferencer.from_pipeline(pipeline).settings() != before


def test_a_half_vae_that_overflows_is_copied(sd15_folder):
    pipeline = load_pipeline(sd15_folder)
    pipeline.vae.half()
    assert backbone_of_pipeline(pipeline).vae.dtype == torch.float32
    assert pipeline.vae.dtype == torch.float16
    pipeline.vae.register_to_config(force_upcast=False)
    assert backbone_of_pipeline(pipeline).vae is pipeline.vae


def test_it_is_not_handed_to_another_process(sd15_folder):
    inferencer = TraceInferencer.from_pipeline(load_pipeline(sd15_folder))
    with pytest.raises(TypeError, match="give its folder or hub id instead"):
        pickle.dumps(inferencer)


def test_what_cannot_be_read_is_refused(sd15_folder):
    with pytest.raises(ValueError, match="dict is no pipeline of diffusers"):
        backbone_of_pipeline({})
    pipeline = load_pipeline(sd15_folder)
    pipeline.unet._hf_hook = object()
    with pytest.raises(ValueError, match="StableDiffusionPipeline offloads unet"):
        backbone_of_pipeline(pipeline)
    del pipeline.unet._hf_hook
    pipeline.text_encoder = None
    pipeline.register_modules(text_encoder=None)
    with pytest.raises(ValueError, match="has no text encoder"):
        backbone_of_pipeline(pipeline)
