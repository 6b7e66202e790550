import json
import shutil
from contextlib import nullcontext

import pytest
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from tests.tiny_models import tiny_unet
from trace_mm.catalogue import CATALOGUE
from trace_mm.diffusion import (
    backbone_settings,
    load_backbone,
    load_recommended,
    resolve_pretrained,
)
from trace_mm.diffusion.null_text_files import cache_path
from trace_mm.models import TraceStudent


def test_null_text_is_the_encoding_of_the_empty_prompt(sd15_folder):
    tokens = CLIPTokenizer.from_pretrained(sd15_folder / "tokenizer")(
        "", padding="max_length", max_length=7, return_tensors="pt"
    )
    with torch.no_grad():
        encoder = CLIPTextModel.from_pretrained(sd15_folder / "text_encoder")
        expected = encoder(tokens.input_ids).last_hidden_state
    found = load_backbone(sd15_folder).null_text
    assert list(found) == ["prompt_embeds"] and found["prompt_embeds"].shape == (1, 7, 12)
    torch.testing.assert_close(found["prompt_embeds"], expected)


def test_sdxl_joins_both_encoders_and_keeps_the_pooled_text(sdxl_folder):
    null_text = load_backbone(sdxl_folder).null_text
    assert null_text["prompt_embeds"].shape == (1, 7, 12 + 8)
    assert null_text["text_embeds"].shape == (1, 5)


def test_text_encoders_are_needed_once(sd15_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(sd15_folder, folder)
    first = load_backbone(folder).null_text["prompt_embeds"]
    shutil.rmtree(folder / "text_encoder")
    assert torch.equal(load_backbone(folder).null_text["prompt_embeds"], first)


def test_a_damaged_cache_is_named(sd15_folder):
    load_backbone(sd15_folder)
    path = cache_path(str(sd15_folder), None)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=path.name):
        load_backbone(sd15_folder)


def test_a_model_without_any_text_says_so(flow_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(flow_folder, folder)
    (folder / "null_text.safetensors").unlink()
    with pytest.raises(ValueError, match="neither a text encoder nor a"):
        load_backbone(folder)


def test_precision_is_that_of_the_denoiser_only(sd15_folder):
    backbone = load_backbone(sd15_folder, dtype="bfloat16")
    assert backbone.denoiser.dtype == torch.bfloat16 and backbone.vae.dtype == torch.float32
    attention = backbone.attention(backbone.encode(torch.rand(1, 3, 16, 16)), 100)
    assert attention.dtype == torch.float32


def test_layers_can_be_chosen(sd15_folder):
    backbone = load_backbone(sd15_folder, layers="up_blocks")
    assert all(layer.name.startswith("up_blocks") for layer in backbone.layers)


def test_nothing_can_be_trained_by_accident(sd15_folder):
    backbone = load_backbone(sd15_folder)
    assert not backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-model is neither a shipped model"):
        resolve_pretrained("no-such-model")
    with pytest.raises(FileNotFoundError, match="is not a diffusers folder"):
        resolve_pretrained(tmp_path)
    assert resolve_pretrained("owner/name") == "owner/name"


def test_names_of_the_catalogue_are_hub_ids():
    for name, entry in CATALOGUE.items():
        if entry.is_diffusion:
            assert resolve_pretrained(name) == entry.pretrained
        else:
            with pytest.raises(ValueError, match=f"{name} is no diffusion model"):
                resolve_pretrained(name)


@pytest.mark.parametrize("kind", ["block_level", "leaf_level"])
def test_offloaded_weights_compute_the_same_and_stay_where_they_are(sd15_folder, kind):
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = load_backbone(sd15_folder).attention(latents, 100)
        backbone = load_backbone(sd15_folder, offload=kind)
        assert torch.equal(backbone.attention(latents, 100), expected)
        backbone.double()
        assert backbone.denoiser.dtype == torch.float32 and backbone.vae.dtype == torch.float64
    assert backbone.device == torch.device("cpu")


def test_an_offloaded_model_computes_where_it_is_moved_to(sd15_folder):
    backbone = load_backbone(sd15_folder, offload="block_level")
    backbone.to("meta")
    assert backbone.device == torch.device("meta")
    assert backbone.denoiser.device == torch.device("cpu")
    backbone = load_backbone(sd15_folder, offload="leaf_level")
    backbone.attention(torch.randn(1, 4, 8, 8), 100)
    with pytest.raises(ValueError, match="has computed cannot change its device"):
        backbone.to("meta")


def test_lora_is_not_trained_on_an_offloaded_model(sd15_folder):
    backbone = {"pretrained": str(sd15_folder), "offload": "block_level"}
    with pytest.raises(ValueError, match="offload is for predictions"):
        TraceStudent(backbone, {"type": "GridFreeDecoder"})


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_a_variant_that_only_the_denoiser_has(sd15_folder, tmp_path, variant):
    folder = shutil.copytree(sd15_folder, tmp_path / "model")
    plain = folder / "unet" / "diffusion_pytorch_model.safetensors"
    plain.rename(plain.with_name("diffusion_pytorch_model.fp16.safetensors"))
    expected = load_backbone(sd15_folder).denoiser.state_dict()
    told = pytest.warns(UserWarning, match="unet: the weights of variant fp16 are read")
    with nullcontext() if variant else told:
        found = load_backbone(folder, variant=variant).denoiser.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_model_that_comes_in_one_variant_only(sd15_folder, tmp_path):
    folder = shutil.copytree(sd15_folder, tmp_path / "model")
    for path in [*folder.glob("*/diffusion_pytorch_model.*"), *folder.glob("*/model.safetensors")]:
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    with pytest.warns(UserWarning, match="vae: the weights of variant fp16 are read"):
        load_backbone(folder)
    two = folder / "unet/diffusion_pytorch_model.fp16.safetensors"
    shutil.copy(two, two.with_name("diffusion_pytorch_model.bf16.safetensors"))
    with pytest.raises(FileNotFoundError, match=r"only bf16 and fp16: say which by backbone="):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("part", "entry", "message"),
    [
        ("scheduler", None, "names no scheduler"),
        ("vae", ["diffusers", "AutoencoderTiny"], "VAE of class AutoencoderTiny is not supported"),
        ("vae", None, "takes 4 channels, but an image has 3 without a VAE"),
        ("text_encoder", [None, None], "neither a text encoder"),
    ],
)
def test_models_of_another_kind_are_named(sd15_folder, tmp_path, part, entry, message):
    folder = shutil.copytree(sd15_folder, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    index[part] = entry
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=message):
        load_backbone(folder)


def test_inpainting_models_are_named(sd15_folder, tmp_path):
    folder = shutil.copytree(sd15_folder, tmp_path / "model")
    tiny_unet(in_channels=9).save_pretrained(folder / "unet")
    with pytest.raises(ValueError, match="takes 9 channels, but an image has 4 of latents"):
        load_backbone(folder)


def test_a_folder_without_a_model_does_not_hide_a_name(sd15_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sd15").mkdir()
    assert resolve_pretrained("sd15") == CATALOGUE["sd15"].pretrained
    shutil.copytree(sd15_folder, tmp_path / "sd15", dirs_exist_ok=True)
    assert resolve_pretrained("sd15") == "sd15"


def test_wrong_options_are_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(ValueError, match="offload must be one of block_level, leaf_level"):
        load_backbone(tmp_path, offload="disk")


def test_wrong_dtypes_are_refused(sd15_folder):
    with pytest.raises(ValueError, match="'int7' is no dtype"):
        load_backbone(sd15_folder, dtype="int7")


def test_quantized_weights(sd15_folder):
    pytest.importorskip("torchao")
    settings = {"type": "TorchAoConfig", "quant_type": {"type": "Int8WeightOnlyConfig"}}
    backbone = load_backbone(sd15_folder, dtype="bfloat16", quantization=settings)
    weight = backbone.layers[0].module.to_q.weight
    assert type(weight).__name__ == "Int8Tensor" and backbone.denoiser.dtype == torch.bfloat16
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        expected = load_backbone(sd15_folder).attention(latents, 100)
        found = backbone.attention(latents, 100)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0.05)


@pytest.mark.parametrize(
    "settings", [{}, {"type": "UNet2DConditionModel"}, {"type": "TorchAoConfig", "bits": 3}]
)
def test_wrong_quantizations_are_named(sd15_folder, settings):
    with pytest.raises(ValueError, match="quantization"):
        load_backbone(sd15_folder, quantization=settings)


def test_loading_without_the_memory_saving_route_gives_the_same(sd15_folder):
    weights = [
        load_backbone(sd15_folder, low_cpu_mem_usage=choice).denoiser.state_dict()
        for choice in (True, False)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_unsupported_denoisers_are_named(flow_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(flow_folder, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["diffusers", "UNet3DConditionModel"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="UNet3DConditionModel are not supported"):
        load_backbone(folder)


def test_settings_of_a_folder(flow_folder, tmp_path):
    assert backbone_settings(flow_folder) == {}
    folder = tmp_path / "model"
    shutil.copytree(flow_folder, folder)
    (folder / "trace.json").write_text('{"noise_draws": 3}')
    assert backbone_settings(folder) == {"noise_draws": 3}
    (folder / "trace.json").write_text("[")
    with pytest.raises(ValueError, match=r"trace\.json: not valid JSON"):
        backbone_settings(folder)


def test_the_recommended_layers_are_read_unless_others_are_given(flow_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(flow_folder, folder)
    (folder / "trace.json").write_text(json.dumps({"layers": "mid_block", "walk_steps": 2}))
    backbone, settings = load_recommended(folder)
    assert settings["walk_steps"] == 2
    assert all(layer.name.startswith("mid_block") for layer in backbone.layers)
    others, _ = load_recommended(folder, layers="up_blocks")
    assert all(layer.name.startswith("up_blocks") for layer in others.layers)
