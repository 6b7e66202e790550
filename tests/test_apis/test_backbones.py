from pathlib import Path

import pytest
from mmengine.config import Config

from trace_mm.apis.backbones import list_backbones, weights_here
from trace_mm.catalogue import CATALOGUE
from trace_mm.cli import main
from trace_mm.diffusion.null_text import cache_path, write_null_text
from trace_mm.models.model_config import model_config

CONFIGS = Path(__file__).parents[2] / "configs" / "trace"


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_each_backbone_has_a_config_that_says_the_same(entry):
    path = CONFIGS / f"trace-teacher_{entry.name}_{entry.size}.py"
    model = Config.fromfile(path).model.to_dict()
    assert model == entry.model_config()
    assert model_config(None, backbone=path).model.type == entry.teacher


def test_a_hub_id_of_transformers_is_marked():
    model = model_config(None, backbone="transformers:owner/llava").model.to_dict()
    assert model == {
        "type": "VisionTeacher",
        "backbone": {"pretrained": "transformers:owner/llava"},
    }


@pytest.mark.parametrize("name", ["sd15", "sd35-large", "dinov3-7b", "timm:some_vit"])
def test_a_backbone_alone_is_the_teacher_on_it(name):
    model = model_config(None, backbone=name).model
    expected = CATALOGUE[name].model_config() if name in CATALOGUE else None
    if expected is None:
        expected = {"type": "VisionTeacher", "backbone": {"pretrained": name}}
    assert model.to_dict() == expected


def test_options_of_noise_need_a_diffusion_model():
    with pytest.raises(
        ValueError, match="timm:x has no timesteps: the option timestep is not for it"
    ):
        model_config(None, options={"timestep": 100}, backbone="timm:x")


def test_a_folder_of_transformers_is_no_diffusion_model(tmp_path, flow_folder):
    (tmp_path / "config.json").write_text("{}")
    assert model_config(None, backbone=tmp_path).model.type == "VisionTeacher"
    assert model_config(None, backbone=flow_folder).model.type == "TraceTeacher"


def test_what_is_here_is_listed(tmp_path, monkeypatch, capsys):
    import torch

    write_null_text(cache_path(CATALOGUE["sdxl"].pretrained, None), {"a": torch.zeros(1)})
    files = {
        CATALOGUE["sd15"].pretrained: {"unet/diffusion_pytorch_model.safetensors"},
        CATALOGUE["flux-dev"].pretrained: {
            f"transformer/diffusion_pytorch_model-0000{part}-of-00003.safetensors"
            for part in (1, 3)
        },
        CATALOGUE["sdxl"].pretrained: {"vae/diffusion_pytorch_model.safetensors"},
    }
    scans = []
    monkeypatch.setattr(
        "trace_mm.apis.backbones.downloaded_files", lambda: scans.append(1) or files
    )
    here = {state.name: state.here for state in list_backbones()}
    assert len(scans) == 1  # it reads all of the hub's cache
    assert here["sd15"] == "weights" and here["sdxl"] == "null text"
    assert here["flux-dev"] == "part of the weights" and here["pixart-alpha"] == "-"
    assert main(["backbones"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(here) and lines[1].startswith("trace-tiny")


DIFFUSERS = "transformer/diffusion_pytorch_model"


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("sd15", {"unet/diffusion_pytorch_model.bin"}, "weights"),
        ("sd15", {"unet/diffusion_pytorch_model.fp16.safetensors"}, "weights (fp16)"),
        (
            "sd15",
            {
                "unet/diffusion_pytorch_model.fp16.safetensors",
                "unet/diffusion_pytorch_model.non_ema.bin",
            },
            "weights (fp16, non_ema)",
        ),
        (
            "sd15",
            {
                "unet/diffusion_pytorch_model.fp16.bin",
                "unet/diffusion_pytorch_model.safetensors",
            },
            "weights",
        ),
        ("sd15", {"v1-5-pruned.safetensors", "vae/diffusion_pytorch_model.safetensors"}, ""),
        (
            "sd35-large",
            {f"{DIFFUSERS}-0000{part}-of-00002.safetensors" for part in (1, 2)},
            "weights",
        ),
        ("sd35-large", {f"{DIFFUSERS}-00002-of-00002.safetensors"}, "part of the weights"),
        (
            "sd35-large",
            {f"{DIFFUSERS}-0000{part}-of-00002.fp16.safetensors" for part in (1, 2)},
            "weights (fp16)",
        ),
        (
            "sd35-large",
            {
                f"{DIFFUSERS}-00001-of-00002.safetensors",
                f"{DIFFUSERS}.fp16-00002-of-00002.safetensors",
            },
            "part of the weights",
        ),
        ("llava-clip", {"model-00001-of-00001.safetensors"}, "weights"),
        ("llava-clip", {"pytorch_model.bin", "preprocessor_config.json"}, ""),
        ("dinov2-g", {"pytorch_model.bin"}, "weights"),
        ("dinov2-g", {"model.safetensors"}, "weights"),
        ("dinov2-g", {"open_clip_pytorch_model.bin", "optimizer.bin"}, ""),
        ("dinov2-g", set(), ""),
    ],
)
def test_only_weights_that_a_name_loads_count_as_weights(name, files, expected):
    assert weights_here(CATALOGUE[name], files) == expected
