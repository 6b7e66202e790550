"""The command: masks of seeds for a folder of drawn scenes, with classes or without."""

import json
import sys

import numpy as np
import pytest

from projects.sam_seeds import segment
from tests.tiny_sams import save_sam
from trace_mm.apis.score_files import score_files
from trace_mm.commands.command_line import run_command
from trace_mm.datasets import instance_borders
from trace_mm.datasets.scenes.export import export_scenes
from trace_mm.files.edge_maps import write_edge_map
from trace_mm.files.panoptic import read_panoptic_png

SCENES = 4


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Drawn scenes with their true edges."""
    folder = tmp_path_factory.mktemp("scenes")
    export_scenes(folder, seed=1, start=2000, length=SCENES)
    for png in sorted((folder / "panoptic").iterdir()):
        ids = read_panoptic_png(png)
        write_edge_map(folder / "edges" / png.name, instance_borders(ids).astype(np.float32))
    return folder


@pytest.fixture
def call(scenes, tmp_path, monkeypatch):
    """Run the command on the scenes; its exit status."""

    def run(*words, maps=True, out="out"):
        given = ["--images", f"{scenes}/images", "--out", f"{tmp_path}/{out}"]
        if maps:
            given += ["--semantic", f"{scenes}/semantic", "--classes", f"{scenes}/classes.json"]
        monkeypatch.setattr(sys, "argv", ["segment.py", *given, *map(str, words)])
        return run_command(segment.main)

    return run


def quality(folder, scenes):
    """PQ of things."""
    return score_files(folder / "panoptic.json", scenes / "panoptic.json").content["PQ_th"]


def test_true_edges_and_the_stand_in_make_the_truth(call, scenes, tmp_path):
    """And whole parts of classes, as seeds, less."""
    stand_in = ("--stand-in", scenes / "panoptic")
    edges = ("--edges", scenes / "edges", "--preset", "scenes")
    assert call(*edges, *stand_in, out="labels") == 0
    assert call("--no-edges", *stand_in, out="parts") == 0
    labels, parts = (quality(tmp_path / name, scenes) for name in ("labels", "parts"))
    assert labels > 90 and labels > parts + 3
    manifest = (tmp_path / "labels/manifest.jsonl").read_text()
    assert '"true edges"' in manifest


def test_true_boxes_and_the_stand_in(call, scenes, tmp_path):
    words = ("--seeds", "boxes", "--boxes", scenes / "instances.json")
    assert call(*words, "--stand-in", scenes / "panoptic") == 0
    assert quality(tmp_path / "out", scenes) > 80


def test_a_saved_sam_and_a_run_that_goes_on(call, scenes, tmp_path, capsys):
    sam = save_sam(tmp_path / "sam")
    words = ("--edges", scenes / "edges", "--seeds", "components", "--stuff", "seeds")
    words = (*words, "--sam", sam, "--prompt", "box", "points", "mask", "--device", "cpu")
    assert call(*words) == 0
    before = (tmp_path / "out/panoptic.json").read_bytes()
    capsys.readouterr()
    (tmp_path / "out/panoptic/002001.png").unlink()
    (tmp_path / "out/panoptic.json").unlink()
    assert call(*words) == 0
    assert (tmp_path / "out/panoptic.json").read_bytes() == before
    assert (tmp_path / "out/panoptic/002001.png").is_file()
    assert call(*words, "--points", 2) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_masks_without_classes(call, scenes, tmp_path):
    words = ("--seeds", "segments", "--edges", scenes / "edges")
    assert call(*words, "--stand-in", scenes / "panoptic", maps=False) == 0
    content = json.loads((tmp_path / "out/instances.json").read_text())
    assert len(content["images"]) == SCENES and content["categories"][0]["name"] == "object"
    found = score_files(tmp_path / "out/instances.json", scenes / "instances.json").content
    assert call(*words, "--sam", "none", maps=False, out="seeds") == 0
    seeds = score_files(tmp_path / "seeds/instances.json", scenes / "instances.json").content
    assert found["AR100"] > 0.6 and found["AP"] > seeds["AP"]


@pytest.mark.parametrize(
    ("words", "maps", "message"),
    [
        (["--seeds", "labels"], False, "--seeds labels needs --semantic"),
        (["--seeds", "segments", "--stuff", "none"], False, "--stuff has no effect"),
        (["--seeds", "boxes"], True, "--seeds boxes and --boxes"),
        (["--seeds", "segments", "--no-edges"], True, "--no-edges leaves none"),
        (["--no-edges", "--model", "trace-tiny"], True, "--model has no effect"),
        (["--no-edges", "--sam", "none", "--least-share", "2"], True, "least share"),
    ],
)
def test_options_that_make_no_sense(call, capsys, tmp_path, words, maps, message):
    assert call(*words, maps=maps) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_boxes_give_no_mask_prompts(call, capsys, scenes):
    words = ("--seeds", "boxes", "--boxes", scenes / "instances.json", "--prompt", "mask")
    assert call(*words) == 2
    assert "no mask prompts" in capsys.readouterr().err
