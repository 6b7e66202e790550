"""The benchmark of the edge metric counts in two ways, and sees whether they differ."""

import importlib
import sys
from dataclasses import replace

import pytest

from tests.documented_commands import ROOT

FEW = ["configs/edges/sobel_scenes.py", "--images", "3", "--cfg-options"]
FEW += ["test_dataloader.dataset.size=[40,50]"]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "tools/benchmark"))
    monkeypatch.setattr(sys, "argv", ["edge_metric.py", *FEW])
    module = importlib.import_module("tools.benchmark.edge_metric")
    monkeypatch.setattr(module.cv2, "setNumThreads", lambda threads: None)
    monkeypatch.setattr(module.torch, "set_num_threads", lambda threads: None)
    return module


def test_both_ways_are_equal(benchmark, capsys):
    assert benchmark.main() == 0
    shown = capsys.readouterr().out
    assert "3 images" in shown and "all counts are equal" in shown


def test_a_difference_is_told(benchmark, capsys, monkeypatch):
    def wrong(edges, targets):
        counts = right(edges, targets)
        return replace(counts, near_predictions=counts.near_predictions + 1)

    right = benchmark.count_edges
    monkeypatch.setattr(benchmark, "count_edges", wrong)
    assert benchmark.main() == 1
    assert "DIFFERENT COUNTS: scene-1-" in capsys.readouterr().out
