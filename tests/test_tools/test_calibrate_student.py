"""tools/calibrate_student.py, run as a user does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trace_mm.models import build_student
from trace_mm.models.student_weights import read_description

PROJECT = Path(__file__).parents[2]
SCENES = "configs/_base_/datasets/scene_edges_val.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "tools/calibrate_student.py", *map(str, arguments)],
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


def test_usage(tmp_path):
    result = run("trace-tiny", SCENES, "--data-root", "a", "b")
    assert result.returncode == 2 and "one folder for each config" in result.stderr
    result = run(tmp_path / "none", SCENES)
    assert result.returncode == 2 and "no checkpoint" in result.stderr
