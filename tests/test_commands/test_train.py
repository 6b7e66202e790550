"""``trace-mm train`` and ``test``, by the names of configs; tests/test_tools has the rest."""

import argparse
import json

import pytest

from trace_mm.cli import main
from trace_mm.commands.config_arguments import launcher
from trace_mm.files.shipped_configs import config_names

FEW = ["test_dataloader.dataset.length=2", "test_dataloader.dataset.size=(40,56)"]
FEW += ["test_evaluator.workers=1", "test_evaluator.progress=False"]


@pytest.mark.parametrize("command", ["train", "test"])
def test_names_of_configs_are_listed(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--list"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.split() == config_names()


def test_a_benchmark_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "scores.json"
    assert main(["test", "sobel_scenes", "--out", str(out), "--cfg-options", *FEW]) == 0
    ods = json.loads(out.read_text())["ods"]
    assert f"\nODS        {ods:.4f}\n" in capsys.readouterr().out
    assert (tmp_path / "work_dirs/sobel_scenes").is_dir()


@pytest.mark.parametrize("command", ["train", "test"])
def test_an_unknown_name(capsys, command):
    assert main([command, "trace_trace-tiny_lora64_scene"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("trace-mm: error: trace_trace-tiny_lora64_scene: no such config: did")
    assert "trace/trace_trace-tiny_lora64_scenes" in line


def test_a_config_that_trains_nothing(capsys):
    assert main(["train", "sobel_scenes"]) == 2
    assert "sobel_scenes: it has no train_dataloader" in capsys.readouterr().err


def test_torchrun_is_recognised(monkeypatch):
    given = argparse.Namespace(launcher=None)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launcher(given) == "none"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert launcher(given) == "pytorch"
    assert launcher(argparse.Namespace(launcher="slurm")) == "slurm"
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launcher(given) == "none"
