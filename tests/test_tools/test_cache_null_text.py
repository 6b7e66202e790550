import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file

from tools import cache_null_text
from trace_mm.diffusion import load_backbone
from trace_mm.diffusion.null_text_files import cache_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["cache_null_text.py", *map(str, arguments)])
    return cache_null_text.main()


def test_encoders_are_not_needed_afterwards(sd15_folder, sdxl_folder, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(sd15_folder, folder)
    assert run(monkeypatch, folder, sdxl_folder) == 0
    assert cache_path(str(sdxl_folder), None).is_file()
    shutil.rmtree(folder / "text_encoder")
    shutil.rmtree(folder / "tokenizer")
    assert load_backbone(folder).null_text["prompt_embeds"].shape == (1, 7, 12)


def test_a_file_for_a_machine_without_encoders(sd15_folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "new" / "null_text.safetensors"
    assert run(monkeypatch, sd15_folder, "--out", out) == 0
    assert str(out) in capsys.readouterr().out
    expected = load_backbone(sd15_folder).null_text["prompt_embeds"]
    assert torch.equal(load_file(out)["prompt_embeds"], expected)


def test_one_bad_model_does_not_stop_the_others(sd15_folder, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, tmp_path, sd15_folder) == 1
    captured = capsys.readouterr()
    assert "is not a diffusers folder" in captured.err and "prompt_embeds" in captured.out


def test_one_file_is_for_one_model(sd15_folder, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, sd15_folder, sd15_folder, "--out", "a.safetensors")
    assert "--out takes one model" in capsys.readouterr().err


def test_the_models_other_files_are_not_written_onto(sd15_folder, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "model"
    shutil.copytree(sd15_folder, folder)
    index = folder / "model_index.json"
    before = index.read_bytes()
    assert run(monkeypatch, folder, "--out", index) == 1
    assert "which is read" in capsys.readouterr().err
    assert index.read_bytes() == before
    assert run(monkeypatch, folder, "--out", folder / "null_text.safetensors") == 0


@pytest.mark.filterwarnings("ignore:only the first")
def test_prompts_are_embedded_beforehand(sd15_folder, tmp_path, monkeypatch, capsys):
    folder, prompts = tmp_path / "model", tmp_path / "prompts.json"
    shutil.copytree(sd15_folder, folder)
    prompts.write_text('{"one": "a", "two": "a a", "three": "a"}')
    assert run(monkeypatch, folder, "--prompts", prompts) == 0
    assert "2 of 2 prompts embedded now" in capsys.readouterr().out
    shutil.rmtree(folder / "text_encoder")
    assert load_backbone(folder, prompts=prompts).prompts.of("a a")
    with pytest.raises(SystemExit):
        run(monkeypatch, folder, "--prompts", prompts, "--out", tmp_path / "x.safetensors")
