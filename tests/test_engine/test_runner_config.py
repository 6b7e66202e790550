"""Flags of the tools, without running anything."""

import os

import pytest
from mmengine.config import Config

from trace_mm.engine.runner_config import (
    read_config,
    set_auto_scale_lr,
    set_launcher,
    set_mixed_precision,
    set_predicting_model,
    set_resume,
    set_work_dir,
)

TEXT = """
data_root = "data/a"
pretrained = "trace-tiny"
model = dict(backbone=dict(pretrained=pretrained))
dataset = dict(source=[dict(data_root=data_root), dict(data_root="other")])
optim_wrapper = dict(type="OptimWrapper")
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "name.py"
    path.write_text(TEXT)
    return path


def test_variables_reach_what_used_them(config):
    cfg = read_config(config, {"data_root": "data/b", "pretrained": "folder", "model.x": 1})
    assert [part["data_root"] for part in cfg.dataset.source] == ["data/b", "other"]
    assert cfg.model == {"backbone": {"pretrained": "folder"}, "x": 1}
    with pytest.raises(FileNotFoundError, match=r"none\.py: no such config"):
        read_config("none.py", {})


def test_work_dir(config):
    cfg = read_config(config, {})
    set_work_dir(cfg, None)
    assert cfg.work_dir == "work_dirs/name"
    cfg.work_dir = "own"
    set_work_dir(cfg, None)
    assert cfg.work_dir == "own"
    set_work_dir(cfg, "given")
    assert cfg.work_dir == "given"


def test_resume(config, tmp_path):
    cfg = read_config(config, {"work_dir": str(tmp_path)})
    cfg.load_from = "start.pth"
    assert set_resume(cfg, "auto") is None
    assert not cfg.resume and cfg.load_from == "start.pth"
    for name in ("iter_8.pth", "iter_10.pth", "best_edges_ODS_iter_20.pth"):
        (tmp_path / name).touch()
    assert set_resume(cfg, "auto") == tmp_path / "iter_10.pth"
    assert cfg.resume
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_8.pth"))
    set_resume(cfg, "auto")
    assert cfg.load_from == str(tmp_path / "iter_8.pth")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth: no such checkpoint"):
        set_resume(cfg, "gone.pth")


def test_mixed_precision_and_learning_rate(config):
    cfg = read_config(config, {})
    set_mixed_precision(cfg)
    assert cfg.optim_wrapper.type == "trace_mm.AutocastOptimWrapper"
    set_mixed_precision(cfg)  # is so already
    cfg.optim_wrapper.type = "mmengine.AmpOptimWrapper"
    set_mixed_precision(cfg)
    assert cfg.optim_wrapper.type == "mmengine.AmpOptimWrapper"
    cfg.optim_wrapper.type = "OtherWrapper"
    with pytest.raises(ValueError, match="OtherWrapper"):
        set_mixed_precision(cfg)
    with pytest.raises(ValueError, match="base_batch_size"):
        set_auto_scale_lr(cfg)
    cfg.auto_scale_lr = {"base_batch_size": 8}
    set_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable


def test_launcher(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "9")  # so that it is put back
    monkeypatch.delenv("LOCAL_RANK")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    cfg = Config({})
    set_launcher(cfg, "none")
    assert cfg.launcher == "none"
    assert os.environ["LOCAL_RANK"] == "0"
    with pytest.raises(ValueError, match="slurm needs GPUs"):
        set_launcher(cfg, "slurm")


def test_models_that_only_predict_share_no_gradients():
    cfg = Config({"default_scope": "trace_mm"})
    set_predicting_model(cfg)
    assert cfg.model_wrapper_cfg == {"type": "trace_mm.PredictingModel"}
    own = {"model_wrapper_cfg": {"type": "MMDistributedDataParallel"}}
    for settings in (own, {"strategy": {"type": "x"}}, {"default_scope": "mmdet"}):
        cfg = Config(settings)
        set_predicting_model(cfg)
        assert cfg.get("model_wrapper_cfg") == settings.get("model_wrapper_cfg")
