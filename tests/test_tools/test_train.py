"""tools/train.py, run as a user does: killed, resumed, in several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from trace_mm.engine.runner_config import read_config

PROJECT = Path(__file__).parents[2]
RUNTIME = (PROJECT / "configs" / "_base_" / "training_runtime.py").as_posix()
CONFIG = f"""
_base_ = ["{RUNTIME}"]
custom_imports = dict(imports=["tests.tiny_training"])
model = dict(type="TinyEdgeModel")
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(type="VisitSampler"),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="SceneImages", seed=0, length=6, size=(32, 32)),
        flip=0.5,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(type="SceneEdgeDataset", seed=1, length=2, size=(32, 32)),
)
val_evaluator = dict(type="InstanceEdgeMetric", workers=1, progress=False)
test_dataloader, test_evaluator = val_dataloader, val_evaluator
test_cfg = dict(type="mmengine.TestLoop")
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters=12, val_interval=4)
val_cfg = dict(type="mmengine.ValLoop")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=0.02))
param_scheduler = [dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=12)]
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=1))
custom_hooks = [
    dict(type="ReproducibleTrainingHook"),
    dict(type="UnreadableImagesHook"),
    dict(type="EMAHook"),
    dict(type="KillHook"),
]
randomness = dict(_delete_=True, seed=None)  # the run draws one, and resumes it
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def environment():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ours = {"PYTHONPATH": str(PROJECT), "PYTHON": sys.executable, "PORT": port}
    others = {name: value for name, value in os.environ.items() if name != "LOCAL_RANK"}
    return {**others, **ours, "OMP_NUM_THREADS": "1"}


def run(*arguments, status=0):
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # what interrupts its group does not interrupt the tests
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout + done.stderr


def train(config, work_dir, *more, status=0):
    command = (sys.executable, "tools/train.py", config, "--work-dir", work_dir)
    return run(*command, *more, status=status)


def train_here(config, work_dir, seed, **options):
    """The same in this process, which saves the time of the imports."""
    path = config.with_name(f"{work_dir.name}.py")  # mmengine tells runs apart by the file's name
    path.write_text(config.read_text())
    options = {"work_dir": str(work_dir), "randomness.seed": seed, **options}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        Runner.from_cfg(read_config(path, options)).train()
    finally:
        torch.set_num_threads(threads)


def load(path):
    return torch.load(path, weights_only=True)


def assert_same(one, other):
    """Equal to the last bit, at any depth."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


def kill(**when):
    return ["--cfg-options", *(f"custom_hooks.3.{key}={value}" for key, value in when.items())]


def test_a_killed_run_ends_like_one_that_was_not(config, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    # Once between two checkpoints, and once in the validation right after one.
    train(config, killed, "--resume", *kill(before=6), status=-signal.SIGKILL)
    (killed / "last_checkpoint").write_text("")  # as a kill in the middle of it leaves it
    seed = load(killed / "iter_4.pth")["meta"]["seed"]
    output = train(config, killed, "--resume", *kill(in_validation_of=8), status=-signal.SIGKILL)
    assert f"resuming from {killed / 'iter_4.pth'}" in output
    output = train(config, killed, "--resume", killed / "iter_8.pth")
    assert "validating iteration 8, which was interrupted" in output
    train_here(config, whole, seed=seed)

    for folder in (killed, whole):  # of the others, the best only
        names = sorted(path.name for path in folder.glob("*.pth"))
        assert names[1:] == ["iter_12.pth"]
        assert names[0].startswith("best_edges_ODS_iter_")
    best = next(whole.glob("best*.pth")).name
    for name in ("iter_12.pth", best):
        one, other = load(killed / name), load(whole / name)
        for part in ("state_dict", "ema_state_dict"):
            assert_same(one[part], other[part])
    one, other = load(killed / "iter_12.pth"), load(whole / "iter_12.pth")
    for part in ("optimizer", "param_schedulers"):
        assert_same(one[part], other[part])
    infos = [checkpoint["message_hub"]["runtime_info"] for checkpoint in (one, other)]
    assert infos[0]["best_score"] == infos[1]["best_score"]


def test_ctrl_c_is_one_line_and_keeps_checkpoints(config, tmp_path):
    work_dir = tmp_path / "work"
    options = [*kill(interrupt_before=6), "val_evaluator.workers=2"]
    output = train(config, work_dir, *options, status=130)
    assert "Traceback" not in output
    assert f"interrupted; --resume goes on from {work_dir / 'iter_4.pth'}" in output
    assert load(work_dir / "iter_4.pth")["meta"]["iter"] == 4
    # Before the first iteration there is a screen of log; the file has all.
    shown = output.partition("Iter(train)")[0].splitlines()
    assert len(shown) < 20, shown
    assert not any("deprecated" in line for line in shown)
    log = next(work_dir.glob("*/*.log")).read_text()
    assert "Config:" in log and "Hooks will be executed" in log


@pytest.mark.slow
def test_processes_share_a_batch(config, tmp_path):
    options = {"model.noise": 0, "train_cfg.max_iters": 4}
    script = ["bash", "tools/dist_train.sh", config, 2, "--work-dir", tmp_path / "two"]
    settings = [f"{name}={value}" for name, value in options.items()]
    settings += ["randomness.seed=0", "train_dataloader.batch_size=1"]
    run(*script, "--cfg-options", *settings)
    train_here(config, tmp_path / "one", seed=0, **options)
    two, one = (load(tmp_path / name / "iter_4.pth")["state_dict"] for name in ("two", "one"))
    assert one.keys() == two.keys()
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=0, atol=1e-5)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "-m", "trace_mm", "train", config, "--work-dir", tmp_path / "command"]
    run(*command, "--cfg-options", *settings)
    assert_same(load(tmp_path / "command" / "iter_4.pth")["state_dict"], two)

    script = ["bash", "tools/dist_test.sh", config, tmp_path / "two" / "iter_4.pth", 2]
    out, overlays = tmp_path / "scores.json", tmp_path / "overlays"
    run(*script, "--work-dir", tmp_path / "two", "--out", out, "--show-dir", overlays)
    assert sorted(path.name for path in overlays.iterdir()) == [
        "scene-1-000000.png",
        "scene-1-000001.png",
    ]
    assert sorted(json.loads(out.read_text())["image_id"]) == ["scene-1-000000", "scene-1-000001"]
