"""Hooks on their own; tests/test_tools/test_train.py runs them together."""

import random
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import IterBasedTrainLoop
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from trace_mm import cli
from trace_mm.apis.training import train, training_config
from trace_mm.engine import (
    AutocastOptimWrapper,
    EdgeVisualizationHook,
    ReproducibleTrainingHook,
    UnreadableImagesHook,
    WholeCheckpointHook,
    brief_console,
)
from trace_mm.engine.edge_visualization_hook import draw_panel
from trace_mm.engine.whole_checkpoint_hook import WholeFileBackend, automatic_interval
from trace_mm.registry import HOOKS, OPTIM_WRAPPERS
from trace_mm.structures import EdgeDataSample


class Log:
    def __init__(self):
        self.lines = []

    def error(self, line):
        self.lines.append(line)

    warning = info = error


def sample(image_id, **data):
    return EdgeDataSample(metainfo={"image_id": image_id, "img_path": None}, **data)


def test_types_are_registered():
    for name in ("EdgeVisualizationHook", "ReproducibleTrainingHook", "UnreadableImagesHook"):
        assert HOOKS.build({"type": name})
    assert HOOKS.build({"type": "trace_mm.WholeCheckpointHook", "interval": 3}).interval == 3
    assert HOOKS.get("CheckpointHook") is CheckpointHook  # mmengine's are found too
    assert OPTIM_WRAPPERS.get("AutocastOptimWrapper") is AutocastOptimWrapper


def test_pictures_of_a_validation(tmp_path):
    shown = []
    runner = SimpleNamespace(
        iter=30,
        visualizer=SimpleNamespace(add_image=lambda *args, step: shown.append((*args, step))),
    )
    image = torch.zeros(3, 4, 6)
    image[0] = 1
    truth = np.zeros((2, 4, 6), dtype=bool)
    truth[0, 1] = True
    edges = torch.full((4, 6), 0.2)
    samples = [sample(f"a/{n}", pred_edges=edges, gt_edges=truth) for n in range(4)]
    hook = EdgeVisualizationHook(images=3)
    for _ in range(2):
        hook.before_val_epoch(runner)
        for part in (samples[:2], samples[2:]):
            hook.after_val_iter(runner, 0, {"inputs": [image, image]}, part)
    assert [(name, step) for name, _, step in shown] == [
        (f"val_a%2F{n}", 30) for _ in range(2) for n in range(3)
    ]
    panel = shown[0][1]
    assert panel.shape == (4, 18, 3)
    assert panel[0, 0].tolist() == [255, 0, 0]
    assert panel[0, 6].tolist() == [51] * 3
    assert panel[1, 12].tolist() == [128] * 3  # one of two annotators
    assert draw_panel(image, sample(1, pred_edges=edges)).shape == (4, 12, 3)

    hook.after_test_iter(runner, 0, {"inputs": [image] * 4}, samples)  # no folder
    hook = EdgeVisualizationHook(images=0, out_dir=str(tmp_path / "overlays"))
    hook.after_test_iter(runner, 0, {"inputs": [image] * 4}, samples)
    names = sorted(path.name for path in (tmp_path / "overlays" / "a").iterdir())
    assert names == [f"{n}.png" for n in range(4)]
    assert Image.open(tmp_path / "overlays" / "a" / "0.png").size == (6, 4)


def test_unreadable_images_are_logged_once_and_counted(tmp_path):
    runner = SimpleNamespace(logger=Log(), work_dir=str(tmp_path))
    hook = UnreadableImagesHook()
    replaced = sample("next")
    replaced.set_metainfo({"replaced": ["bad.png: damaged", "gone.png: no such file"]})
    hook.before_train_iter(runner, 0, {"inputs": [], "data_samples": [sample("fine")]})
    hook.after_train(runner)
    assert runner.logger.lines == []
    for _ in range(3):
        hook.before_train_iter(runner, 0, {"inputs": [], "data_samples": [replaced]})
    assert len(runner.logger.lines) == 2
    assert "bad.png: damaged" in runner.logger.lines[0]
    assert "2 unreadable so far" in runner.logger.lines[1]
    hook.after_train(runner)
    assert "2 training images could not be read" in runner.logger.lines[-1]
    report = (tmp_path / "unreadable_images.txt").read_text()
    assert report == "bad.png: damaged (3 times)\ngone.png: no such file (3 times)\n"


def draw():
    return torch.rand(1).item(), float(np.random.rand()), random.random()


def test_random_numbers_depend_on_the_iteration_alone():
    hook, runner = ReproducibleTrainingHook(), SimpleNamespace(seed=5, iter=7)
    hook.before_train_iter(runner, 0)
    first = draw()
    draw()
    hook.before_train_iter(runner, 0)
    assert draw() == first
    hook.before_val_epoch(runner)
    assert draw() != first
    runner.iter = 8
    hook.before_train_iter(runner, 0)
    assert not set(draw()) & set(first)


def loop_runner(checkpoint, counts=1, **loader):
    options = {"batch_size": 2, "dataset": range(9), "sampler": SimpleNamespace(seed=1), **loader}
    return SimpleNamespace(
        seed=5,
        logger=Log(),
        hooks=[checkpoint],
        optim_wrapper=SimpleNamespace(_accumulative_counts=counts),
        train_dataloader=SimpleNamespace(**options),
        train_loop=SimpleNamespace(val_interval=9),
        _resume=True,
    )


def test_checkpoints_within_an_accumulation_are_refused():
    hook = ReproducibleTrainingHook()
    hook.before_train(loop_runner(WholeCheckpointHook(interval=6, by_epoch=False), counts=3))
    with pytest.raises(ValueError, match=r"every 6 iterations.*accumulated over 4"):
        hook.before_train(loop_runner(WholeCheckpointHook(interval=6, by_epoch=False), counts=4))
    best = WholeCheckpointHook(interval=4, by_epoch=False, save_best="x", rule="greater")
    with pytest.raises(ValueError, match=r"every 9 iterations.*accumulated over 4"):
        hook.before_train(loop_runner(best, counts=4))


def test_another_order_of_data_is_announced():
    hook, checkpoint = ReproducibleTrainingHook(), {"meta": {}}
    plain = CheckpointHook(interval=4, by_epoch=False)
    hook.before_save_checkpoint(loop_runner(plain), checkpoint)
    same = loop_runner(plain)
    hook.after_load_checkpoint(same, checkpoint)
    hook.before_train(same)
    assert same.logger.lines == []
    assert same.train_dataloader.sampler.seed == 5
    other = loop_runner(plain, batch_size=3)
    hook.before_train(other)
    assert "batch size was 2, now 3" in other.logger.lines[0]


def test_old_checkpoints_go_after_new_ones_are_there(tmp_path, monkeypatch):
    hook = WholeCheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1)
    there = []

    def save(out_dir, name, *args, backend_args, **kwargs):
        assert backend_args == {"backend": "trace_mm_whole_files"}
        there.append(sorted(path.name for path in tmp_path.glob("*.pth")))
        (tmp_path / name).touch()

    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        logger=Log(),
        message_hub=MessageHub.get_instance("whole_checkpoints"),
        save_checkpoint=save,
    )
    hook.before_train(runner)
    for step in (1, 2, 2, 3):
        hook._save_checkpoint_with_step(runner, step, {})
    assert there == [[], ["iter_1.pth"], ["iter_2.pth"], ["iter_2.pth"]]
    assert [path.name for path in tmp_path.glob("*.pth")] == ["iter_3.pth"]
    assert runner.message_hub.get_info("keep_ckpt_ids") == [3]
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "iter_3.pth")

    def fail(path, data):
        raise OSError("disk full")

    WholeFileBackend().put(b"old", tmp_path / "x.pth")
    monkeypatch.setattr("trace_mm.engine.whole_checkpoint_hook.write_atomically", fail)
    with pytest.raises(OSError, match="disk full"):
        WholeFileBackend().put(b"new", tmp_path / "x.pth")
    assert (tmp_path / "x.pth").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("iterations", "counts", "interval"),
    [(1000, 1, 100), (1000, 8, 104), (200, 4, 20), (7, 1, 1), (7, 4, 4), (20000, 1, 1000)],
)
def test_checkpoints_fit_the_length_of_a_run(iterations, counts, interval):
    assert automatic_interval(iterations, counts) == interval
    hook = WholeCheckpointHook(interval="auto", by_epoch=False)
    loop = IterBasedTrainLoop(SimpleNamespace(), DataLoader([0]), max_iters=iterations)
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(_accumulative_counts=counts), _train_loop=loop
    )
    hook.before_run(runner)
    assert hook.interval == interval
    fixed = WholeCheckpointHook(interval=3, by_epoch=False)
    fixed.before_run(runner)
    assert fixed.interval == 3


MISSING = """
_base_ = ["{runtime}"]
custom_imports = dict(imports=["tests.tiny_training"])
model = dict(type="TinyEdgeModel")
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="mmengine.InfiniteSampler"),
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root="no-such-folder"),
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    collate_fn=dict(type="pseudo_collate"),
    dataset=dict(type="SceneEdgeDataset", seed=1, length=1, size=(32, 32)),
)
test_evaluator = dict(type="InstanceEdgeMetric", workers=1, progress=False)
test_cfg = dict(type="mmengine.TestLoop")
train_cfg = dict(type="mmengine.IterBasedTrainLoop", max_iters=1)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam"))
"""


def test_a_test_reads_no_training_data(tmp_path, monkeypatch, capsys):
    """With an interval of "auto" too, which depends on the length of the training."""
    runtime = Path(__file__).parents[2] / "configs/_base_/training_runtime.py"
    config = tmp_path / "missing.py"
    config.write_text(MISSING.format(runtime=runtime.as_posix()))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["test", str(config), "--work-dir", "work"]) == 0
    assert "ODS" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="no-such-folder: no such folder of images"):
        train(training_config(config, work_dir=str(tmp_path / "train")))


def test_other_intervals_are_refused():
    for options in ({"interval": "often", "by_epoch": False}, {"interval": "auto"}):
        with pytest.raises(ValueError, match="interval must be a number, or 'auto' with by_epoch"):
            WholeCheckpointHook(**options)


def test_a_validation_without_scores_has_no_best():
    hook = WholeCheckpointHook(interval=1, by_epoch=False, save_best="edges/ODS", rule="greater")
    hook.after_val_epoch(SimpleNamespace(), {})  # asks the runner for nothing


def test_long_messages_go_to_the_file_only(tmp_path, capsys, recwarn):
    with brief_console():
        logger = MMLogger.get_instance("brief", log_file=str(tmp_path / "log.txt"))
        logger.info("Config:\n" + "line\n" * 50)
        logger.info("short")
        logger.warning("matters\n" * 9)
        logger.warning('"FileClient" will be deprecated in future. Please use io functions')
        logger.debug("level\n" * 9)
        warnings.warn("Detected call of `scheduler.step()` before `optimizer.step()`", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    logger.info("after\n" * 9)
    shown, written = capsys.readouterr().out, (tmp_path / "log.txt").read_text()
    assert shown.count("line") == 0 and written.count("line") == 50
    assert "FileClient" in written and "FileClient" not in shown
    assert "level" not in written + shown
    assert [str(one.message) for one in recwarn] == ["another"]
    for text, count in (("short", 1), ("matters", 9), ("after", 9)):
        assert shown.count(text) == written.count(text) == count


def test_history_is_stored_without_objects(tmp_path):
    hook = WholeCheckpointHook(interval=1)
    hub = MessageHub.get_instance("plain_checkpoints")
    for value in (3.0, 1.5):
        hub.update_scalar("train/loss", value, count=2)
    hub.update_info("eta", np.float64(7))
    checkpoint = {"meta": {}, "message_hub": hub.state_dict()}
    hook.before_save_checkpoint(None, checkpoint)
    torch.save(checkpoint, tmp_path / "x.pth")
    loaded = torch.load(tmp_path / "x.pth", weights_only=True)
    hook.after_load_checkpoint(None, loaded)
    other = MessageHub.get_instance("plain_checkpoints_loaded")
    other.load_state_dict(loaded["message_hub"])
    assert other.get_info("eta") == 7
    history = other.get_scalar("train/loss")
    assert [part.tolist() for part in history.data] == [[3.0, 1.5], [2, 2]]
    assert history.mean() == hub.get_scalar("train/loss").mean()
    hook.after_load_checkpoint(None, {"message_hub": hub.state_dict()})  # of mmengine's own hook


def test_autocast_computes_in_bfloat16_and_keeps_weights():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = AutocastOptimWrapper(optimizer=optimizer)
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 3))
    assert output.dtype == torch.bfloat16
    before = model.weight.clone()
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
    off = AutocastOptimWrapper(dtype="float32", optimizer=optimizer)
    with off.optim_context(model):
        assert model(torch.ones(1, 3)).dtype == torch.float32
    with pytest.raises(ValueError, match="bfloat16, float32"):
        AutocastOptimWrapper(dtype="float16", optimizer=optimizer)
