"""Only the vision tower of a model is read, whatever its files and names; faults are named."""

import json
import os
import subprocess
import sys

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import LlavaConfig, LlavaForConditionalGeneration

from tests import tiny_towers
from tests.fake_hub import fake_hub
from trace_mm.vision import load_vision_backbone

PREFIXES = {
    "vision_tower.vision_model.": tiny_towers.save_llava,
    "model.vision_tower.vision_model.": tiny_towers.save_llava,
    "vision_tower.": tiny_towers.save_llava,
    "model.vision_tower.": tiny_towers.save_llava,
    "visual.": tiny_towers.save_qwen,
    "model.visual.": tiny_towers.save_qwen,
}


def same_weights(tower, expected):
    found, wanted = tower.state_dict(), expected.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[n], wanted[n]) for n in wanted)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_each_layout_gives_the_tower_that_was_saved(prefix, tmp_path):
    save = PREFIXES[prefix]
    backbone = load_vision_backbone(save(tmp_path / "model", prefix))
    made = tiny_towers.clip_tower if save is tiny_towers.save_llava else tiny_towers.qwen_tower
    assert same_weights(backbone.tower, made())


def test_a_whole_model_that_transformers_saved(tmp_path):
    text = {"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "vocab_size": 9}
    text |= {"num_hidden_layers": 1, "num_attention_heads": 1}
    vision = {"model_type": "clip_vision_model", **tiny_towers.CLIP_OPTIONS}
    whole = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text))
    whole.save_pretrained(tmp_path)
    tower = load_vision_backbone(tmp_path).tower
    assert same_weights(tower, whole.get_submodule("model.vision_tower"))


@pytest.mark.parametrize("made", [tiny_towers.clip_tower, tiny_towers.qwen_tower])
def test_a_tower_alone_and_a_whole_clip(made, tmp_path):
    made().save_pretrained(tmp_path / "alone")
    assert same_weights(load_vision_backbone(tmp_path / "alone").tower, made())
    clip = load_vision_backbone(tiny_towers.save_clip(tmp_path / "clip")).tower
    assert same_weights(clip, tiny_towers.clip_tower())


def test_the_backbone_is_frozen_in_the_dtype_that_was_asked_for(tower_source):
    backbone = load_vision_backbone(**tower_source("qwen2.5-vl"), dtype="bfloat16")
    assert {weight.dtype for weight in backbone.tower.parameters()} == {torch.bfloat16}
    assert not any(weight.requires_grad for weight in backbone.parameters())
    assert not backbone.tower.training
    assert backbone.tower.rotary_pos_emb.inv_freq.dtype == torch.float32  # positions are exact


def test_files_without_a_part_of_the_tower_are_not_opened(tmp_path):
    folder = tiny_towers.save_llava(tmp_path / "model")
    (folder / "model-00001-of-00003.safetensors").write_bytes(b"not even a file of weights")
    assert same_weights(load_vision_backbone(folder).tower, tiny_towers.clip_tower())


LOAD = """
import sys
from trace_mm.files.hub import downloaded_files
from trace_mm.vision import load_vision_backbone
for name in sys.argv[1:]:
    try:
        tower = load_vision_backbone(name).tower
        files = downloaded_files()[name.removeprefix("transformers:")]
        print(type(tower).__name__, sorted(files))
    except FileNotFoundError as error:
        print(error)
"""


@pytest.mark.slow
def test_only_files_with_a_part_of_the_tower_are_downloaded(tmp_path):
    folder = tiny_towers.save_llava(tmp_path / "model")
    with fake_hub({"owner/llava": folder}) as address:
        names = ["transformers:owner/llava", "owner/gated", "owner/other-kind"]
        places = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub"), "HF_TOKEN": ""}
        done = subprocess.run(
            [sys.executable, "-c", LOAD, *names],
            env={**os.environ, **places},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    loaded, gated, other = done.stdout.splitlines()[-3:]
    files = [
        "config.json",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
        "preprocessor_config.json",
    ]
    assert loaded == f"CLIPVisionModel {files}"
    assert "owner/gated: this model is gated" in gated
    assert "owner/other-kind: the hub's model lacks a file" in other and "config.json" in other


def change(folder, edit):
    """Rewrite the second file of a tiny LLaVA."""
    path = folder / "model-00002-of-00003.safetensors"
    weights = load_file(path)
    edit(weights)
    save_file(weights, path)
    index = folder / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    places = {name: file for name, file in places.items() if file != path.name}
    index.write_text(json.dumps({"weight_map": {**places, **dict.fromkeys(weights, path.name)}}))


CLASS_TOKEN = "vision_tower.vision_model.embeddings.class_embedding"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda w: w.pop(CLASS_TOKEN), r"1 are missing \(embeddings\.class_embedding\), 0 unknown"),
        (
            lambda w: w.update({"vision_tower.vision_model.odd": torch.zeros(1)}),
            r"0 are missing \(\), 1 unknown \(odd\)",
        ),
        (
            lambda w: w.update({CLASS_TOKEN: torch.zeros(3)}),
            r"00002-of.*class_embedding is \(3,\), but config\.json makes it \(16,\)",
        ),
    ],
)
def test_wrong_weights_are_refused(edit, message, tmp_path):
    folder = tiny_towers.save_llava(tmp_path / "model")
    change(folder, edit)
    with pytest.raises(ValueError, match=message):
        load_vision_backbone(folder)


def test_damaged_and_missing_files_are_named(tmp_path):
    folder = tiny_towers.save_llava(tmp_path / "model")
    (folder / "model-00002-of-00003.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"00002-of-00003\.safetensors: not a readable"):
        load_vision_backbone(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"00002-of-00003\.safetensors: no such file"):
        load_vision_backbone(folder)
    folder = tiny_towers.save_clip(tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: no such file"):
        load_vision_backbone(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"config\.json must hold a JSON object"):
        load_vision_backbone(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json: no such file"):
        load_vision_backbone(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "a model of type bert with a vision tower of type bert"),
        (
            {"model_type": "llava", "vision_config": {"model_type": "siglip_vision_model"}},
            "type llava with a vision tower of type siglip_vision_model is not supported",
        ),
    ],
)
def test_other_models_are_refused(config, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        load_vision_backbone(tmp_path)


def test_a_clip_without_preprocessor_has_the_colours_of_clip(tmp_path):
    folder = tiny_towers.save_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    backbone = load_vision_backbone(folder)
    assert backbone.mean.flatten().tolist() == pytest.approx([0.48145466, 0.4578275, 0.40821073])
    settings = {"image_processor": tiny_towers.NORMALIZATION}  # as newer versions store it
    (folder / "processor_config.json").write_text(json.dumps(settings))
    assert load_vision_backbone(folder).mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])


def test_wrong_names_and_options_are_refused(tower_source, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is neither a model of timm"):
        load_vision_backbone("nowhere")
    with pytest.raises(ValueError, match="sd15 is a diffusion model: TraceTeacher reads"):
        load_vision_backbone("sd15")
    with pytest.raises(ValueError, match="float33"):
        load_vision_backbone(**tower_source("llava"), dtype="float33")
    with pytest.raises(ValueError, match="no self-attention layer matches 'decoder'"):
        load_vision_backbone(**tower_source("llava"), layers="decoder")
    with pytest.raises(ValueError, match="a checkpoint can be given for timm models only"):
        load_vision_backbone(**tower_source("llava"), checkpoint=tmp_path / "weights.pth")


@pytest.fixture
def empty_hub(monkeypatch):
    """Nothing was downloaded yet."""

    def refuse(source, name, **options):
        raise LocalEntryNotFoundError(name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)


def test_what_a_name_means(tmp_path, monkeypatch, empty_hub):
    folder = tiny_towers.save_clip(tmp_path / "clip")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("~/clip", "clip", "./clip", f"transformers:{folder}", "transformers:~/clip"):
        assert same_weights(load_vision_backbone(name).tower, tiny_towers.clip_tower()), name
    with pytest.raises(FileNotFoundError, match="owner/clip: not downloaded yet"):
        load_vision_backbone("transformers:owner/clip")


def test_only_a_model_folder_stands_before_a_name_of_the_catalogue(
    tmp_path, monkeypatch, empty_hub
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llava-clip").mkdir()
    with pytest.raises(FileNotFoundError, match=r"llava-hf/llava-1\.5-13b-hf: not downloaded yet"):
        load_vision_backbone("llava-clip")
    (tmp_path / "llava-clip").rmdir()
    tiny_towers.save_clip(tmp_path / "llava-clip")
    tower = load_vision_backbone("llava-clip").tower
    assert same_weights(tower, tiny_towers.clip_tower())


def test_windowed_layers_are_refused(tower_source):
    with pytest.raises(ValueError, match=r"chooses blocks\.0\.attn, where patches see only a win"):
        load_vision_backbone(**tower_source("qwen2.5-vl"), layers=r"blocks\.[01]\.")
    chosen = load_vision_backbone(**tower_source("qwen2.5-vl"), layers=r"blocks\.3\.").layers
    assert [layer.name for layer in chosen] == ["blocks.3.attn"]
