"""Merged exports of students on every family are diffusers folders that load and predict alike."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import SAVED_BY
from tests.tiny_pipelines import load_pipeline
from tests.tiny_students import build, shake
from trace_mm.apis import TraceInferencer
from trace_mm.diffusion import load_backbone
from trace_mm.models import save_student
from trace_mm.publish.export import export_student

OPTIONS = {"device": "cpu", "show_progress": False, "method": "student"}
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
DECODER = {"type": "GridFreeDecoder", "width": 8, "depths": (1, 1, 1)}
TEXT = ("text_encoder", "tokenizer")


def edges_of(model, **options):
    return TraceInferencer(model, **OPTIONS, **options)(IMAGE)["predictions"][0]["edges"]


@pytest.mark.parametrize("name", SAVED_BY)
def test_a_merged_export_is_a_model_of_its_own(model_folder, tmp_path, name):
    original = model_folder(name, 5)
    student = shake(build(original, decoder=DECODER, size=16))
    checkpoint = save_student(student, tmp_path / "student.safetensors")
    merged = export_student(checkpoint, tmp_path / "merged", merge=True, backbone=original)

    expected = edges_of(checkpoint, backbone=original)
    assert expected.std() > 0
    np.testing.assert_allclose(edges_of(merged), expected, atol=1e-5)

    index, before = (
        json.loads((folder / "model_index.json").read_text()) for folder in (merged, original)
    )
    assert index["_class_name"] == before["_class_name"]
    part = "unet" if "unet" in before else "transformer"
    assert index.keys() == {"_class_name", part, "vae", "scheduler"}
    saved = json.loads((merged / part / "config.json").read_text())
    assert index[part] == ["diffusers", saved["_class_name"]]

    latents = torch.randn(1, student.backbone.vae.config.latent_channels, 8, 12)
    student.merge()
    with torch.no_grad():
        wanted = student.backbone.attention(latents, 100)
        found = load_backbone(merged).attention(latents, 100)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["sd15", "pixart-alpha", "sd35", "flux-dev"])
def test_diffusers_loads_a_merged_export(model_folder, tmp_path, name):
    """Without text encoders, which it does not hold."""
    original = model_folder(name, 5)
    checkpoint = save_student(
        build(original, decoder=DECODER, size=16), tmp_path / "student.safetensors"
    )
    merged = export_student(checkpoint, tmp_path / "merged", merge=True, backbone=original)
    left_out = {
        "sd15": TEXT,
        "pixart-alpha": TEXT,
        "sd35": [part + suffix for part in TEXT for suffix in ("", "_2", "_3")],
        "flux-dev": [part + suffix for part in TEXT for suffix in ("", "_2")],
    }
    pipeline = load_pipeline(merged, **dict.fromkeys(left_out[name]))
    denoiser = load_backbone(merged).denoiser
    loaded = pipeline.unet if name == "sd15" else pipeline.transformer
    for key, value in denoiser.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
