"""The example project trains and is scored by mmdet's own script, away from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny_panoptic import write_panoptic

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
mmdet = pytest.importorskip("mmdet", reason="mmdet is not installed")

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "projects" / "mmdet_panoptic"
CONFIG = FOLDER / "configs" / "panoptic-fpn_r50_fpn_1x_labels-panoptic.py"
CATEGORIES = [
    {"id": 1, "name": "cat", "isthing": 1},
    {"id": 2, "name": "dog", "isthing": 1},
    {"id": 3, "name": "background", "isthing": 0},
]


@pytest.mark.slow
def test_mmdet_trains_and_scores_it(tmp_path):
    ids = np.full((64, 64), 3, dtype=np.int32)
    ids[4:30, 4:30], ids[34:60, 34:60] = 1, 2
    for labels, images in (("labels", "mine/train"), ("mine/val", "mine/val/images")):
        folder = tmp_path / "data" / images
        folder.mkdir(parents=True)
        Image.fromarray((80 * ids).astype(np.uint8)).convert("RGB").save(folder / "one.jpeg")
        maps = {"one": (ids, {1: 1, 2: 2, 3: 3})}
        write_panoptic(tmp_path / "data" / labels, maps, categories=CATEGORIES, suffix=".jpeg")
    shutil.copy(CONFIG, tmp_path / "mine.py")
    options = [
        "model.backbone.init_cfg=None",
        "train_dataloader.dataset.pipeline.2.scale=(64,64)",
        "val_dataloader.dataset.pipeline.1.scale=(64,64)",
        "train_cfg.max_epochs=1",
        *(f"{split}_dataloader.{name}" for split in ("train", "val") for name in
          ("num_workers=0", "persistent_workers=False")),
    ]  # fmt: skip
    script = Path(mmdet.__file__).parent / ".mim" / "tools" / "train.py"
    done = subprocess.run(
        [sys.executable, script, "mine.py", "--work-dir", "work", "--cfg-options", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "panoptic/PQ: " in done.stdout + done.stderr
    assert (tmp_path / "work" / "epoch_1.pth").is_file()
