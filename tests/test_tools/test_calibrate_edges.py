"""tools/calibrate_edges.py, run as a user does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trace_mm.datasets import instance_borders
from trace_mm.files.edge_maps import read_edge_map
from trace_mm.models import build_student
from trace_mm.models.student_files import read_description

PROJECT = Path(__file__).parents[2]
SCENES = "configs/_base_/datasets/scene_edges_val.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "tools/calibrate_edges.py", *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_calibrated_student_says_what_is_true(tmp_path):
    first = run("trace-tiny", SCENES, "--limit", 3, "--out", tmp_path / "student")
    assert first.returncode == 0, first.stderr
    errors = [float(text) for text in re.findall(r"calibration error ([\d.]+)", first.stdout)]
    assert errors[1] < errors[0]
    scale, offset = read_description(tmp_path / "student")["student"]["calibration"]
    assert f"scale {scale:.4f}, offset {offset:.4f}" in first.stdout
    assert build_student(tmp_path / "student").calibration == (scale, offset)
    again = run(tmp_path / "student", SCENES, "--limit", 3)  # from its weights, not on top
    assert first.stdout.split("\nwrote")[0] == again.stdout.rstrip("\n")


def test_maps_of_any_detector_are_written_anew(tmp_path):
    """Maps that are right about a square and wrong about a line, and equally sure of both."""
    ids, maps = np.zeros((64, 96), np.uint8), tmp_path / "maps"
    ids[16:48, 20:60] = 1
    edges = instance_borders(ids) * np.float32(0.9)
    edges[:, 80] = 0.9  # in front of nothing
    edges[8, 4:16] = 0.2
    for folder in ("images", "ids", "maps"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (96, 64)).save(tmp_path / "images/a.png")
    Image.fromarray(ids).save(tmp_path / "ids/a.png")
    Image.fromarray((edges * 255).astype(np.uint8)).save(maps / "a.png")
    config = tmp_path / "config.py"
    config.write_text(
        "val_dataloader = dict(dataset=dict(type='InstanceEdgeDataset', annotation='id_maps',"
        " data_prefix=dict(img_path='images', seg_path='ids')))"
    )
    result = run(maps, config, "--data-root", tmp_path, "--out", tmp_path / "calibrated")
    assert result.returncode == 0, result.stderr
    assert "wrote 1 maps" in result.stdout
    found = read_edge_map(tmp_path / "calibrated/a.png")
    share = float(re.search(r"([\d.]+)% of them borders", result.stdout)[1]) / 100
    assert found[30, 80] == pytest.approx(share, abs=0.25) and found[30, 80] < 0.89
    assert found[0, 0] == 0 and found[8, 8] < found[30, 80]
    result = run(maps, config, "--data-root", tmp_path, "--out", maps)
    assert result.returncode == 2 and "maps" in result.stderr  # would replace what is read


def test_usage(tmp_path):
    result = run("trace-tiny", SCENES, "--data-root", "a", "b")
    assert result.returncode == 2 and "one folder for each config" in result.stderr
    result = run(tmp_path / "none", SCENES)
    assert result.returncode == 2 and "no checkpoint" in result.stderr
