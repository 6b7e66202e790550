import math

import pytest
from mmengine.config import Config

from trace_mm.engine.images_seen import set_images_seen


def config(batch_size=2, **settings):
    return Config(
        {
            "launcher": "none",
            "train_dataloader": {"batch_size": batch_size},
            "train_cfg": {
                "type": "IterBasedTrainLoop",
                "max_iters": 100,
                "val_interval": 30,
                "dynamic_intervals": [(91, 100)],
            },
            "param_scheduler": [
                {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 10},
                {"type": "MultiStepLR", "by_epoch": False, "milestones": [60, 80]},
                {"type": "CosineAnnealingLR", "T_max": 7},  # of epochs
            ],
            "default_hooks": {"checkpoint": {"by_epoch": False, "interval": 25}},
            "custom_hooks": [{"type": "DecoderFirstHook", "iterations": 40}],
            "auto_scale_lr": {"iterations": True, "base_batch_size": 16, **settings},
        }
    )


def test_fewer_images_an_iteration_take_more_iterations():
    cfg = config(enable=True)
    assert set_images_seen(cfg) == (
        "the schedule is for 16 images an iteration, and there are 2: 100 iterations become 800, "
        "so that as many images are seen, and the learning rate with the images an iteration"
    )
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (800, 240)
    assert cfg.train_cfg.dynamic_intervals == [(728, 800)]
    warm_up, steps, epochs = cfg.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 80)
    assert steps.milestones == [480, 640]
    assert epochs.T_max == 7
    assert cfg.default_hooks.checkpoint.interval == 200
    assert cfg.custom_hooks[0].iterations == 320


@pytest.mark.parametrize(
    ("launcher", "variable"),
    [("pytorch", "WORLD_SIZE"), ("slurm", "SLURM_NTASKS"), ("mpi", "OMPI_COMM_WORLD_SIZE")],
)
def test_processes_of_a_launcher_count(monkeypatch, launcher, variable):
    monkeypatch.setenv(variable, "3")
    cfg = config()
    cfg.launcher = launcher
    assert "there are 6" in set_images_seen(cfg)
    assert cfg.train_cfg.max_iters == math.ceil(100 * 16 / 6)


def test_nothing_changes_where_it_need_not():
    for cfg in (config(batch_size=16), config(iterations=False)):
        before = cfg.to_dict()
        assert set_images_seen(cfg) == ""
        assert cfg.to_dict() == before
    cfg = config()
    cfg.train_cfg = {"by_epoch": True, "max_epochs": 3}
    assert set_images_seen(cfg) == ""
    del cfg.auto_scale_lr["base_batch_size"]
    with pytest.raises(ValueError, match="base_batch_size"):
        set_images_seen(cfg)


def test_a_learning_rate_that_stays_is_told():
    assert set_images_seen(config()).endswith("stays, without auto_scale_lr.enable")
