"""FSDP through mmengine's runner, in two processes, on a CPU."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.multiprocessing
from mmengine._strategy import FSDPStrategy
from mmengine.runner import Runner
from torch import nn

from tests import student_workers
from trace_mm.engine import WholeCheckpointHook
from trace_mm.engine.runner_config import read_config
from trace_mm.engine.student_fsdp_strategy import StudentFSDPStrategy, _clip_over_shards
from trace_mm.models import TraceStudent, load_student_weights, read_student
from trace_mm.registry import STRATEGIES

RUNTIME = (Path(__file__).parents[2] / "configs" / "_base_" / "training_runtime.py").as_posix()
CONFIG = """
_base_ = ["{runtime}"]
custom_imports = dict(imports=["tests.tiny_students"])
model = dict(
    type="TraceStudent",
    backbone=dict(pretrained="{folder}"),
    decoder=dict(type="TinyDecoder"),
    teacher=dict(timesteps=[100, 500]),
    lora=dict(rank=2),
    reconstruction=None,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="VisitSampler"),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="SceneImages", seed=0, length=6, size=(16, 16)),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(type="SceneEdgeDataset", seed=1, length=2, size=(16, 16)),
)
val_evaluator = dict(type="InstanceEdgeMetric", workers=1, progress=False)
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters=3, val_interval=2)
val_cfg = dict(type="mmengine.ValLoop")
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="Adam", lr=0.02), clip_grad=dict(max_norm=0.05)
)
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=12)]
default_hooks = dict(checkpoint=dict(interval=2))
"""
SHARDED = """
runner_type = "FlexibleRunner"
strategy = dict(type="trace_mm.StudentFSDPStrategy")
train_dataloader["batch_size"] = 1
"""


@pytest.fixture(scope="module")
def runs(sd15_folder, tmp_path_factory):
    """Work folders of runs: sharded, the same resumed after two iterations, in one process."""
    root = tmp_path_factory.mktemp("fsdp")
    text = CONFIG.format(runtime=RUNTIME, folder=sd15_folder)
    for name in ("whole", "resumed"):  # mmengine tells runs apart by the file's name
        (root / f"{name}.py").write_text(text + SHARDED)
    (root / "single.py").write_text(text)
    checkpoint = root / "whole" / "iter_2.pth"
    trainings = [
        {"config": str(root / f"{name}.py"), "work_dir": str(root / name), **more}
        for name, more in (("whole", {}), ("resumed", {"resume": str(checkpoint)}))
    ]
    arguments = (trainings, str(root / "meeting"))
    torch.multiprocessing.spawn(student_workers.run_trainings, arguments, nprocs=2)
    Runner.from_cfg(read_config(root / "single.py", {"work_dir": str(root / "single")})).train()
    return root


def load(path):
    return torch.load(path, weights_only=True)


@pytest.mark.slow
def test_weights_are_those_of_one_process(runs):
    first = load(runs / "single" / "iter_2.pth")["state_dict"]
    single = load(runs / "single" / "iter_3.pth")["state_dict"]
    sharded = load(runs / "whole" / "iter_3.pth")["state_dict"]
    assert list(sharded) == list(single)
    for name, value in single.items():
        torch.testing.assert_close(sharded[name], value, atol=2e-5, rtol=0, msg=name)
    moved = [(single[name].float() - first[name].float()).abs().max() for name in single]
    assert max(moved) > 1e-3  # else equal weights would say nothing


@pytest.mark.slow
def test_a_resumed_run_ends_alike(runs):
    # Not to the last bit: rounding depends on where in memory a shard lies.
    whole, resumed = (load(runs / name / "iter_3.pth") for name in ("whole", "resumed"))
    for name, value in whole["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], value, atol=1e-6, rtol=0, msg=name)
    states = [checkpoint["optimizer"]["state"] for checkpoint in (whole, resumed)]
    assert states[0].keys() == states[1].keys()
    for name, state in states[0].items():
        for part, value in state.items():
            torch.testing.assert_close(states[1][name][part], value, atol=1e-8, rtol=1e-3)
    assert whole["param_schedulers"] == resumed["param_schedulers"]


@pytest.mark.slow
def test_checkpoints_hold_what_is_trained(runs, sd15_folder):
    best = next((runs / "whole").glob("best_*.pth"))
    last = runs / "whole" / "iter_2.pth"
    for path in (best, last):
        assert load(path)["meta"]["iter"] == int(path.stem.rpartition("_")[2])
    state = read_student(last)
    student = TraceStudent(
        {"pretrained": str(sd15_folder)}, {"type": "TinyDecoder"}, lora={"rank": 2}
    )
    assert state.keys() == student.state_dict().keys() == load(last)["state_dict"].keys()
    load_student_weights(student, last)
    trained = {name for name, weight in student.named_parameters() if weight.requires_grad}
    assert load(last)["optimizer"]["state"].keys() <= trained
    # No tensor drags the memory of another into the file.
    numbers = sum(weight.numel() for weight in student.parameters() if weight.requires_grad)
    assert best.stat().st_size < 4 * numbers + 500 * len(state) + 50_000
    assert last.stat().st_size < 3 * 4 * numbers + 500 * 4 * len(state) + 50_000


def test_what_cannot_work_is_refused(tmp_path):
    assert STRATEGIES.get("StudentFSDPStrategy") is StudentFSDPStrategy
    options = {"work_dir": str(tmp_path), "env_kwargs": {"launcher": "none"}}
    with pytest.raises(ValueError, match="state_dict_cfg must be 'full'"):
        StudentFSDPStrategy(state_dict_cfg="local", **options)
    with pytest.raises(ValueError, match="use_orig_params=True"):
        StudentFSDPStrategy(model_wrapper={"use_orig_params": False}, **options)
    with pytest.raises(ValueError, match="without auto_wrap_policy"):
        StudentFSDPStrategy(model_wrapper={"auto_wrap_policy": None}, **options)
    with pytest.raises(ValueError, match="start with a launcher"):
        StudentFSDPStrategy(**options)


def test_mmengines_own_strategy_is_refused():
    runner = SimpleNamespace(strategy=FSDPStrategy.__new__(FSDPStrategy))
    with pytest.raises(ValueError, match=r"use strategy=dict\(type='trace_mm"):
        WholeCheckpointHook(interval=1).before_train(runner)


def test_gradients_are_clipped_by_the_whole_norm():
    shown = {}
    wrapper = SimpleNamespace(
        clip_grad_kwargs={"max_norm": 2.0},
        grad_name="grad_norm",
        message_hub=SimpleNamespace(update_scalar=shown.__setitem__),
    )
    model = SimpleNamespace(clip_grad_norm_=lambda max_norm: torch.tensor(5.0) + max_norm)
    _clip_over_shards(wrapper, model)
    wrapper._clip_grad()
    assert shown == {"train/grad_norm": 7.0}
    wrapper.clip_grad_kwargs["error_if_nonfinite"] = True
    with pytest.raises(ValueError, match="error_if_nonfinite"):
        _clip_over_shards(wrapper, nn.Identity())
