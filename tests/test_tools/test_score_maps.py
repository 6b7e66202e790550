"""The benchmark of refined scores: true edges help, and what it writes is what configs read."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from trace_mm.datasets.scenes.export import export_scenes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools/benchmark"))
    return importlib.import_module("tools.benchmark.score_maps")


def test_true_edges_help(benchmark, tmp_path, capsys):
    export_scenes(tmp_path / "scenes", seed=3, start=0, length=2, size=(48, 64))
    scores, out = tmp_path / "scores", tmp_path / "scores.json"
    options = ["--edges", "none", "true", "--tokens", "16", "--noise", "0.2"]
    options += ["--write", str(scores), "--out", str(out), "--set", "steps=32"]
    benchmark.main([str(tmp_path / "scenes/images"), str(tmp_path / "scenes/semantic"), *options])
    assert capsys.readouterr().out.splitlines()[0].split() == ["mIoU", "none", "true"]
    content = json.loads(out.read_text())
    assert content["refiner"]["steps"] == 32
    found = content["mIoU"]["16 tokens, noise 0.2"]
    assert found["true"] > found["none"] + 5
    assert np.load(scores / "000000.npz")["arr_0"].shape == (9, 12, 16)
