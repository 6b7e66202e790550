"""The benchmarks of labels, of refinement and of segments take the edge maps of any detector."""

import importlib
import json
import sys

import numpy as np
import pytest

from tests.documented_commands import ROOT
from tests.drawn_photos import write_photos
from trace_mm.files.coco import encode_rle


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools/benchmark"))
    write_photos(tmp_path)
    return tmp_path


def run(monkeypatch, tool, *words):
    module = importlib.import_module(f"tools.{tool.replace('/', '.')}")
    monkeypatch.setattr(sys, "argv", [tool, *map(str, words)])
    module.main()


@pytest.fixture
def panoptic(data, monkeypatch):
    words = ("--annotations", data / "instances.json", "--out", data / "panoptic")
    run(monkeypatch, "dataset_converters/instances_panoptic", *words)
    return data / "panoptic"


@pytest.fixture
def masks(data):
    """One mask that covers both things of each photo."""
    found = []
    for photo in (1, 2, 3):
        mask = np.zeros((60, 80), bool)
        mask[4:58, 4:70] = True
        found.append({"image_id": photo, "segmentation": encode_rle(mask), "score": 0.5})
    (data / "masks.json").write_text(json.dumps(found))
    return data / "masks.json"


def test_labels(data, panoptic, monkeypatch, capsys):
    words = (data / "images", panoptic, "--edges", "none", "true", f"any={data}/maps")
    words += ("--set", 'preset="scenes"', "--out", data / "scores.json")
    run(monkeypatch, "benchmark/panoptic_labels", *words)
    scores = json.loads((data / "scores.json").read_text())["scores"]
    # Photo one's things touch: components alone take them for one.
    assert scores["perfect any"]["PQ"] > scores["perfect none"]["PQ"]
    assert scores["perfect any"]["PQ"] == pytest.approx(scores["perfect true"]["PQ"], abs=10)
    assert "perfect    any " in capsys.readouterr().out


def test_refinement(data, masks, monkeypatch):
    words = (data, "--masks", masks, "--edges", f"any={data}/maps", "true")
    words += ("--set", "min_border=0.3")
    run(monkeypatch, "benchmark/mask_refinement", *words, "--out", data / "scores.json")
    scores = json.loads((data / "scores.json").read_text())["scores"]
    assert set(scores) == {"masks no any", "masks any", "masks no true", "masks true"}
    assert scores["masks any"]["AR100"] > scores["masks no any"]["AR100"]


def test_segments(data, monkeypatch, capsys):
    words = (data, "--edges", f"any={data}/maps", "sobel", "true", "--out", data / "scores.json")
    run(monkeypatch, "benchmark/edge_segments", *words, "--set", "min_region=8")
    written = json.loads((data / "scores.json").read_text())
    assert written["images"] == 3 and written["segments"]["min_region"] == 8
    assert written["scores"]["true"]["AR100"] > 0.5
    assert written["scores"]["any"]["seconds"] > 0
    assert "AR100" in capsys.readouterr().out
    (data / "some").mkdir()
    (data / "some/two.jpg").touch()
    for option, count in ("--only", 1), ("--except", 2):
        run(monkeypatch, "benchmark/edge_segments", *words, option, data / "some")
        assert json.loads((data / "scores.json").read_text())["images"] == count
    with pytest.raises(ValueError, match="no image"):
        run(monkeypatch, "benchmark/edge_segments", *words, "--only", data / "maps")


def test_one_command_for_both(data, masks, monkeypatch, capsys):
    (data / "list.txt").write_text("two.jpg")
    words = (data, "--detectors", f"any={data}/maps", "sobel", "--out", data / "out")
    run(monkeypatch, "benchmark/edge_detectors", *words, "--calibrate-on", data / "list.txt")
    words = (data, data / "out", "--masks", masks, "--label-set", 'preset="scenes"')
    run(monkeypatch, "benchmark/edge_swap", *words)
    labels = json.loads((data / "out/swap/test/labels.json").read_text())
    assert labels["images"] == 2
    kinds = ("none", "any", "sobel", "true")
    assert set(labels["scores"]) == {f"{m} {k}" for m in ("perfect", "degraded") for k in kinds}
    assert labels["scores"]["perfect any"]["PQ"] > labels["scores"]["perfect none"]["PQ"]
    refined = json.loads((data / "out/swap/test/refinement.json").read_text())
    assert refined["images"] == 2 and "masks sobel" in refined["scores"]
    run(monkeypatch, "benchmark/edge_swap", *words[:2], "--part", "all", "--length", 1)
    labels = json.loads((data / "out/swap/all/labels.json").read_text())
    assert labels["images"] == 1
    (data / "out/scores.json").write_text('{"images": {"all": []}}')
    with pytest.raises(ValueError, match="knows no part test"):
        run(monkeypatch, "benchmark/edge_swap", *words)
    (data / "out/scores.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"scores\.json"):
        run(monkeypatch, "benchmark/edge_swap", *words)
    with pytest.raises(FileNotFoundError, match="calibrated: no such folder"):
        run(monkeypatch, "benchmark/edge_swap", data, data / "maps")


def test_errors(data, panoptic, masks, monkeypatch):
    tools = {
        "benchmark/panoptic_labels": (data / "images", panoptic),
        "benchmark/mask_refinement": (data, "--masks", masks),
    }
    (data / "maps/two.png").rename(data / "maps/four.png")
    for tool, words in tools.items():
        for edges, message in [
            (["sobel"], "canny, teacher, student or NAME=FOLDER, got 'sobel'"),
            (["any="], "got 'any='"),
            (["true=maps"], "got 'true=maps'"),
            (["a=maps", "a=maps"], "two kinds of edges are called 'a'"),
            (["any=nowhere"], "nowhere: no such folder of edge maps"),
            (["any=maps"], r"maps: no edge map of .*two\.jpg$"),
        ]:
            monkeypatch.chdir(data)
            with pytest.raises((ValueError, FileNotFoundError), match=message):
                run(monkeypatch, tool, *words, "--edges", *edges)
