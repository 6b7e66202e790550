"""tools/cache_pseudo_edges.py: of which images it computes edges, and where."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from trace_mm.apis.pseudo_edges import fill_from_config
from trace_mm.datasets import UnlabelledImageDataset
from trace_mm.engine.runner_config import read_config

ROOT = Path(__file__).parents[2]
CONFIG = """
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters={iterations})
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root="{folder}/images"),
        size=16,
        pseudo_edges=dict(folder="{folder}/cache", teacher=dict(type="SobelDetector")),
    ),
)
"""


@pytest.fixture
def config(tmp_path):
    for number in range(24):
        path = tmp_path / f"images/{number % 3}/{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number, 0, 0)).save(path)
    file = tmp_path / "config.py"
    file.write_text(CONFIG.format(folder=tmp_path.as_posix(), iterations=100))
    return file


def entries(folder):
    return len(list((folder / "cache").rglob("*.png")))


def contents(folder):
    found = (folder / "cache").rglob("*")
    return {path.relative_to(folder): path.read_bytes() for path in found if path.is_file()}


def test_the_training_reads_what_was_filled(config, tmp_path):
    command = [sys.executable, "tools/cache_pseudo_edges.py", config, "--device", "cpu"]
    command += ["--limit", "9", "--images-per-class", "4"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert entries(tmp_path) == 9
    first, last = result.stdout.splitlines()
    assert first.startswith("9 done, 0 were done before")
    assert last.startswith("train on the same")
    options = dict(text.split("=") for text in last.partition("--cfg-options ")[2].split())
    numbers = {name: int(value) for name, value in options.items()}
    cfg = read_config(config, numbers)
    settings = {n: v for n, v in cfg.train_dataloader.dataset.items() if n != "type"}
    dataset = UnlabelledImageDataset(**settings)
    assert len(dataset) == 9
    for number in range(9):
        assert dataset[number]["data_samples"].pseudo_edges.shape == (16, 16)
    whole = UnlabelledImageDataset(**{**settings, "limit": None})
    with pytest.raises(FileNotFoundError, match="its pseudo edges are not in"):
        for number in range(len(whole)):
            whole[number]


def test_more_images_than_a_training_reads_are_told(config, tmp_path, capsys):
    fill_from_config(read_config(config, {"train_cfg.max_iters": 5}), "cpu")
    assert "dataset.limit=10, 14 fewer are computed" in capsys.readouterr().err
    assert entries(tmp_path) == 24
    fill_from_config(read_config(config, {}), "cpu")
    assert "fewer" not in capsys.readouterr().err


@pytest.mark.parametrize("where", ["workers", "torchrun"])
def test_processes_share_a_fill(config, tmp_path, where):
    fill_from_config(read_config(config, {}), "cpu")
    alone = contents(tmp_path)
    shutil.rmtree(tmp_path / "cache")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *(launch if where == "torchrun" else [])]
    command += ["tools/cache_pseudo_edges.py", str(config), "--device", "cpu"]
    command += ["--workers", "2"] if where == "workers" else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("24 done, 0 were done before, 0 failed: ") == 1
    assert contents(tmp_path) == alone


def test_entries_are_packed(config, tmp_path):
    command = [sys.executable, "tools/cache_pseudo_edges.py", config, "--device", "cpu", "--pack"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "24 entries packed, 24 in 1 shards: " in told
    assert entries(tmp_path) == 0
    settings = read_config(config, {}).train_dataloader.dataset
    dataset = UnlabelledImageDataset(**{n: v for n, v in settings.items() if n != "type"})
    assert all(item["data_samples"].pseudo_edges.shape == (16, 16) for item in dataset)
