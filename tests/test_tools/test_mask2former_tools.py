"""The tools serve Mask2Former as they serve the edge models, in several processes too."""

import json
import os
import re
import socket
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
CONFIG = next((PROJECT / "configs" / "mask2former").glob("*_scenes-panoptic.py"))
SIZE = 64

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """Few small scenes for each part."""
    root = tmp_path_factory.mktemp("scenes")
    for split, seed, length in (("train", 0, 8), ("val", 1, 2), ("test", 1, 3)):
        export_scenes(root / split, seed, 0, length, (SIZE, SIZE))
    return root


@pytest.fixture(scope="module")
def trained(data_root, tmp_path_factory):
    """Two iterations, with a checkpoint of each."""
    work_dir = tmp_path_factory.mktemp("work")
    train(data_root, work_dir, 2)
    return work_dir


def run(*arguments, status=0):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ours = {"PYTHONPATH": str(PROJECT), "PYTHON": sys.executable, "PORT": port}
    others = {name: value for name, value in os.environ.items() if name != "LOCAL_RANK"}
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=PROJECT,
        env={**others, **ours, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout + done.stderr


def options(data_root, iterations=2):
    return [
        "--cfg-options",
        f"data_root={data_root}",
        f"train_cfg.max_iters={iterations}",
        "train_cfg.val_interval=2",
        "default_hooks.checkpoint.interval=1",
        "default_hooks.logger.interval=1",
        "train_dataloader.batch_size=2",
    ]


def train(data_root, work_dir, iterations, *more, launcher=(sys.executable, "tools/train.py")):
    command = [*launcher[:2], CONFIG, *launcher[2:], "--work-dir", work_dir, *more]
    return run(*command, *options(data_root, iterations))


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def test_resume_amp_and_the_learning_rate(data_root, trained, tmp_path):
    (tmp_path / "iter_2.pth").write_bytes((trained / "iter_2.pth").read_bytes())
    output = train(data_root, tmp_path, 4, "--resume", "--amp", "--auto-scale-lr")
    assert f"resuming from {tmp_path / 'iter_2.pth'}" in output
    assert set(re.findall(r"Iter\(train\) \[ *(\d+)/", output)) == {"3", "4"}
    assert (tmp_path / "iter_4.pth").is_file()
    logs = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    assert "AutocastOptimWrapper" in logs
    assert "panoptic/PQ: " in output


def test_other_labels_change_what_is_learned(data_root, trained, tmp_path):
    labels = tmp_path / "labels"
    (labels / "panoptic").mkdir(parents=True)
    for name in ("panoptic.json", *(f"panoptic/{number:06d}.png" for number in range(8))):
        (labels / name).write_bytes((data_root / "train" / name).read_bytes())
    given = f"train_dataloader.dataset.labels={labels}"
    command = [sys.executable, "tools/train.py", CONFIG, "--work-dir", tmp_path / "work"]
    run(*command, *options(data_root), given)
    same = weights(tmp_path / "work" / "iter_2.pth")
    for name, value in weights(trained / "iter_2.pth").items():
        assert torch.equal(value, same[name]), name  # the same labels from elsewhere


def test_scores_and_pictures(data_root, trained, tmp_path):
    out, pictures = tmp_path / "pq.json", tmp_path / "pictures"
    command = [sys.executable, "tools/test.py", CONFIG, trained / "iter_2.pth"]
    more = ["--work-dir", tmp_path / "work", "--out", out, "--show-dir", pictures]
    output = run(*command, *more, "--cfg-options", f"data_root={data_root}")
    assert re.search(r"^PQ +\d", output, re.MULTILINE)
    assert json.loads(out.read_text())
    drawn = sorted(path.name for path in pictures.iterdir())
    assert drawn == ["000000.png", "000001.png", "000002.png"]
    with Image.open(pictures / drawn[0]) as picture:
        assert picture.size == (3 * SIZE, SIZE)


def test_edges_are_refused(data_root, tmp_path):
    command = [sys.executable, "tools/test.py", CONFIG, "--edges", tmp_path]
    output = run(*command, "--work-dir", tmp_path / "work", status=2)
    assert "edges are for edge models, masks and labels, not Mask2Former" in output


def test_two_processes_train_and_score(data_root, tmp_path):
    output = train(data_root, tmp_path / "work", 2, launcher=("bash", "tools/dist_train.sh", 2))
    assert "panoptic/PQ: " in output
    checkpoint, out = tmp_path / "work" / "iter_2.pth", tmp_path / "pq.json"
    more = ["--work-dir", tmp_path / "tests", "--cfg-options", f"data_root={data_root}"]
    one = run(sys.executable, "tools/test.py", CONFIG, checkpoint, *more)
    two = run("bash", "tools/dist_test.sh", CONFIG, checkpoint, 2, "--out", out, *more)
    table = re.compile(r"^(?:PQ|SQ|RQ)\w* +[\d.]+$", re.MULTILINE)
    assert table.findall(one) == table.findall(two) != []
    assert json.loads(out.read_text())
