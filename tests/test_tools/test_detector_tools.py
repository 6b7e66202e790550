"""A detector learns from masks, then from its own, by the tools; the mini run in a smaller size."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from trace_mm.datasets.scenes.export import export_scenes

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "configs" / "detectors"
CONFIG = next(FOLDER.glob("mask-rcnn_trace-tiny_droploss_*_scenes.py"))
SELF_TRAIN = next(FOLDER.glob("mask-rcnn_trace-tiny_self-train_*_scenes.py"))
SIZE = 64

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Few small scenes for each part."""
    root = tmp_path_factory.mktemp("scenes")
    for split, seed, length in (("train", 0, 6), ("test", 1, 3)):
        export_scenes(root / split, seed, 0, length, (SIZE, SIZE))
    return root


def run(tool, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, f"tools/{tool}.py", *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
             "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout + done.stderr


def options(root, iterations=2):
    return [
        f"images={root / 'train' / 'images'}",
        f"labels={root / 'train' / 'instances.json'}",
        f"data_root={root / 'test'}",
        f"train_cfg.max_iters={iterations}",
        "train_dataloader.batch_size=2",
        "default_hooks.checkpoint.interval=1",
    ]


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """Two iterations, with a checkpoint of each."""
    work_dir = tmp_path_factory.mktemp("work")
    run("train", CONFIG, "--work-dir", work_dir, "--cfg-options", *options(root))
    return work_dir


def test_scores_and_pictures(root, trained, tmp_path):
    out, pictures = tmp_path / "scores.json", tmp_path / "pictures"
    arguments = [CONFIG, trained / "iter_2.pth", "--work-dir", tmp_path / "work"]
    arguments += ["--out", out, "--show-dir", pictures]
    arguments += ["--cfg-options", f"data_root={root / 'test'}"]  # no labels
    output = run("test", *arguments)
    assert re.search(r"^AP +[\d.]+$", output, re.MULTILINE)
    assert json.loads(out.read_text())["images"] == 3
    drawn = sorted(path.name for path in pictures.iterdir())
    assert drawn == ["000000.png", "000001.png", "000002.png"]
    with Image.open(pictures / drawn[0]) as picture:
        assert picture.size == (SIZE, SIZE)


def test_masks_of_training_images_need_a_file(root, trained, tmp_path):
    arguments = [CONFIG, trained / "iter_2.pth", "--work-dir", tmp_path / "work"]
    output = run("test", *arguments, "--cfg-options", *options(root), "test_set=train", status=2)
    assert "name their file, --out FILE" in output


def test_rounds_of_self_training(root, trained, tmp_path):
    images, labels, work = (
        root / "train" / "images",
        root / "train" / "instances.json",
        tmp_path / "w",
    )
    command = [SELF_TRAIN, trained / "iter_2.pth", "--images", images, "--labels", labels]
    command += ["--work-dir", work, "--rounds", "2", "--min-score", "0.1"]
    settings = [*options(root, iterations=1)[3:], f"data_root={root / 'test'}"]
    output = run("self_train", *command, "--cfg-options", *settings)
    assert f"trained: {work / 'round2' / 'iter_1.pth'}" in output
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in
                     (trained / "iter_2.pth", work / "round1" / "iter_1.pth"))  # fmt: skip
    # A step from the checkpoint, and not from random weights.
    name = "roi_head.bbox_head.fc_cls.weight"
    assert 0 < (first[name] - second[name]).abs().max() < 0.01
    listed = json.loads((work / "round1" / "labels.json").read_text())
    assert len(listed["images"]) == 6 and listed["annotations"]
    assert all(one.get("score", 1) >= 0.1 for one in listed["annotations"])
    before = (work / "round2" / "iter_1.pth").stat().st_mtime_ns
    (work / "round2" / "labels.json").unlink()
    output = run("self_train", *command, "--cfg-options", *settings)
    assert output.count("done before") == 5 and "merge_masks.py" in output
    assert (work / "round2" / "iter_1.pth").stat().st_mtime_ns == before
