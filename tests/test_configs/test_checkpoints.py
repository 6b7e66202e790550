"""A long training does not fill the disk: every config that trains keeps a few checkpoints only."""

import importlib.util
from pathlib import Path

import pytest
from mmengine.config import Config

PROJECT = Path(__file__).parents[2]
CONFIGS = sorted(
    path
    for pattern in (
        "configs/trace/trace_*.py",
        "configs/mask2former/*.py",
        "configs/detectors/*.py",
        "projects/*/configs/*",
    )
    for path in PROJECT.glob(pattern)
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_old_checkpoints_are_removed(path):
    if path.parent.name != "trace" and importlib.util.find_spec("mmdet") is None:
        pytest.skip("mmdet is not installed")
    cfg = Config.fromfile(path)
    assert 1 <= cfg.default_hooks.checkpoint.get("max_keep_ckpts", -1) <= 3
