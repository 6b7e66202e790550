"""tools/test.py, run as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from trace_mm.datasets import instance_borders

PROJECT = Path(__file__).parents[2]
CONFIGS = sorted((PROJECT / "configs" / "edges").glob("*.py"))


@pytest.fixture
def data_root(tmp_path):
    """Two photos of a square each, annotated by id maps in BSDS's folder names."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    for folder in ("images", "ids", "edges"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "b"):
        ids = np.zeros((96, 128), dtype=np.uint8)
        ids[24:72, 30:90] = 1
        image = np.where(ids[..., None] == 1, 200, 60) + rng.integers(-10, 10, (96, 128, 3))
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(ids).save(root / "ids" / f"{name}.png")
        edges = instance_borders(ids).astype(np.uint8) * 255
        Image.fromarray(edges).save(root / "edges" / f"{name}.png")
    return root


def run(config, data_root, *more, python=("tools/test.py",)):
    arguments = [
        *(sys.executable, *python, str(config)),
        *("--work-dir", str(data_root.parent / "work")),
        *("--cfg-options", f"data_root={data_root}"),
        *("test_dataloader.dataset.annotation=id_maps", "test_dataloader.num_workers=0"),
        *("test_dataloader.dataset.data_prefix.seg_path=ids", "test_evaluator.workers=1"),
    ]
    return subprocess.run(
        [*arguments, *more],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_model_of_the_config(data_root, tmp_path):
    out = tmp_path / "scores.json"
    done = run("configs/edges/sobel_bsds500.py", data_root, "--out", str(out))
    assert done.returncode == 0, done.stderr
    scores = json.loads(out.read_text())
    assert scores["ods"] > 0.9
    assert scores["image_id"] == ["a", "b"]
    assert f"ODS        {scores['ods']:.4f}" in done.stdout


def test_folder_of_edges(data_root):
    config = "configs/edges/canny_bsds500.py"
    done = run(config, data_root, "--edges", str(data_root / "edges"))
    assert done.returncode == 0, done.stderr
    assert "ODS        1.0000" in done.stdout
    done = run(config, data_root, "--edges-from", str(data_root / "edges"))
    assert done.returncode == 0 and "ODS        1.0000" in done.stdout, done.stderr
    done = run(config, data_root, "--edges-from", "sobel_scenes", "--edges", data_root / "edges")
    assert done.returncode == 2 and "both say where edges come from" in done.stderr
    before = (data_root / "edges" / "a.png").read_bytes()
    done = run(config, data_root, "--edges", data_root / "edges", "--show-dir", data_root / "edges")
    assert done.returncode == 2
    assert "would be written onto" in done.stderr and "which is read" in done.stderr
    assert (data_root / "edges" / "a.png").read_bytes() == before
    (data_root / "edges" / "b.png").unlink()
    done = run(config, data_root, "--edges", str(data_root / "edges"))
    assert done.returncode != 0
    assert "b.png: no such edge map" in done.stderr


@pytest.mark.slow
def test_processes_share_a_model_without_weights(data_root, tmp_path):
    """Such as an edge detector's, which torch's DistributedDataParallel refuses."""
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    assert run("configs/edges/canny_bsds500.py", data_root, "--out", str(one)).returncode == 0
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = run(
        "configs/edges/canny_bsds500.py",
        data_root,
        *("--out", str(two), "--launcher", "pytorch"),
        python=[*launch, "tools/test.py"],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_read(path):
    config = Config.fromfile(path)
    assert config.default_scope == "trace_mm"
    assert config.test_evaluator.type == "InstanceEdgeMetric"
    assert config.model.type
