"""``tools/make_pseudo_panoptic.py``: a config in, a panoptic dataset out."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.panoptic_data import STEPS, load, write_panoptic_data

TOOL = Path(__file__).parents[2] / "tools" / "make_pseudo_panoptic.py"


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data", count=2)


def run(folder, content, *options):
    config = folder / "config.py"
    config.write_text(content)
    command = [sys.executable, str(TOOL), str(config), "--out", str(folder / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_a_config_says_everything(data, tmp_path):
    content = (
        "data_root = 'elsewhere'\n"
        "images, semantic, classes = 'photos', 'maps', 'voc2012'\n"
        "model = dict(type='CannyDetector')\n"
        f"labeler = dict(type='PanopticLabeler', steps={STEPS})\n"
    )
    done = run(tmp_path, content, "--cfg-options", f"data_root={data}", "labeler.threshold=0.5")
    assert done.returncode == 0, done.stderr
    assert "segments of 2 images, 0 images failed" in done.stdout
    info = load(tmp_path / "out", "panoptic")["info"]
    assert info["edges"]["model"] == "CannyDetector"
    assert (info["labeler"]["threshold"], info["labeler"]["steps"]) == (0.5, STEPS)
    where = ["--edges-from", "sobel_scenes", "--overwrite", "--cfg-options", f"data_root={data}"]
    done = run(tmp_path, content, *where)
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "out", "panoptic")["info"]["edges"]["model"] == "SobelDetector"


def test_a_config_without_semantic_maps(tmp_path):
    done = run(tmp_path, "images = 'photos'\n")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("config.py: has no semantic")
    assert "Traceback" not in done.stderr
