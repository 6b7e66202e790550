"""Configs of the student: all can be read and built from, and the shipped one's runs."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from trace_mm.catalogue import CATALOGUE
from trace_mm.engine.runner_config import read_config
from trace_mm.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, OPTIM_WRAPPERS

PROJECT = Path(__file__).parents[2]
COLLAGES = PROJECT / "configs" / "trace" / "trace_trace-tiny_lora64_collages.py"
ALL_CONFIGS = sorted(COLLAGES.parent.glob("trace_*.py"))
CONFIGS = [path for path in ALL_CONFIGS if path != COLLAGES]  # of students that a teacher teaches
SIZES = {"sd15": 512, "sdxl": 1024, "pixart-alpha": 1024, "sd35-large": 1024, "flux-dev": 1024}
DATA = {
    "scenes",
    "scenes-recursive",
    "folder",
    "photos",
    "nuclei",
    "small-objects",
    "imagenet",
    "voc2012",
    "coco2014",
}


def test_the_papers_data_are_there_for_each_backbone():
    names = {path.stem for path in CONFIGS}
    for backbone in SIZES:
        for data in ("voc2012", "coco2014", "imagenet"):
            assert f"trace_{backbone}_lora64_{data}" in names


def assert_known(registry, config, *given):
    """The type is registered and takes the options."""
    kind = registry.get(config["type"])
    assert kind is not None, config["type"]
    options = [name for name in config if name not in {"type", *given}]
    signature = inspect.signature(kind)
    if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        signature.bind_partial(**dict.fromkeys(options))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_names_what_there_is(path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == "trace_mm"
    assert_known(MODELS, cfg.model)
    assert_known(MODELS, cfg.model.decoder)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert_known(DATASETS, loader.dataset)
        assert_known(DATA_SAMPLERS, loader.sampler)
        assert loader.collate_fn.type == "pseudo_collate"
    dataset = cfg.train_dataloader.dataset
    assert_known(DATASETS, dataset.source)
    teacher = cfg.model.teacher if dataset.pseudo_edges is None else dataset.pseudo_edges.teacher
    assert_known(MODELS, teacher)
    members = [member.model for member in teacher.get("members", [])] or [teacher]
    for member in members:
        assert_known(MODELS, member)
        source = member.student if member.type == "TrainedStudent" else member.backbone.pretrained
        assert source == cfg.model.backbone.pretrained
    for hook in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        assert_known(HOOKS, hook)
    assert_known(OPTIM_WRAPPERS, cfg.optim_wrapper)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert_known(METRICS, evaluator)
    assert cfg.optim_wrapper.optimizer.weight_decay == 4e-5  # App. C.1
    _, backbone, rank, data = path.stem.split("_")
    if backbone in SIZES:
        assert dataset.size == SIZES[backbone]
        assert cfg.model.backbone.pretrained == CATALOGUE[backbone].pretrained
        assert dataset.pseudo_edges.teacher.backbone == cfg.model.backbone
        assert cfg.model.decoder.tokens == 64 * 64
    assert rank == f"lora{cfg.model.lora.rank}"
    assert data in DATA


@pytest.mark.parametrize("path", ALL_CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("iterations", [None, 1, 24])
def test_the_schedule_fits_the_length_of_a_run(path, iterations):
    cfg = read_config(path, {} if iterations is None else {"max_iters": iterations})
    assert cfg.train_cfg.max_iters == (iterations or cfg.max_iters)
    warm_up, decay = cfg.param_scheduler
    assert 0 == warm_up.begin < warm_up.end == decay.begin < decay.end
    if iterations is None:
        assert decay.end == cfg.max_iters and warm_up.end in (40, 50, 100, 500)


@pytest.mark.slow
def test_collages_teach_the_decoder_alone(flow_folder, tmp_path):
    """configs/trace/trace_trace-tiny_lora64_collages.py on a tiny model and photos of its own."""
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    work_dir = tmp_path / "work"
    changes = {
        "data_root": tmp_path,
        "pretrained": flow_folder,
        "max_iters": 2,
        "model.checkpoint": None,
        "model.size": 32,
        "model.train_size": 32,
        "model.backbone.layers": ".*",
        "model.decoder.latent_channels": 4,
        "model.lora.targets": ".*attn1.to_q",
        "train_dataloader.dataset.size": 32,
        "train_dataloader.dataset.length": 2,
        "train_dataloader.num_workers": 0,
        "train_dataloader.persistent_workers": False,
        "default_hooks.checkpoint.save_best": None,
    }
    config = tmp_path / "config.py"  # photos without annotations: there is nothing to validate on
    lines = [f'_base_ = ["{COLLAGES}"]', "val_dataloader = val_cfg = val_evaluator = None"]
    config.write_text("\n".join(lines))
    options = [f"{name}={value}" for name, value in changes.items()]
    run("tools/train.py", config, "--work-dir", work_dir, "--cfg-options", *options)
    weights = torch.load(work_dir / "iter_2.pth", weights_only=True)["state_dict"]
    changed = [name for name in weights if ".lora_B." in name and weights[name].any()]
    assert not changed  # LoRA starts at zero
    assert any(name.startswith("decoder.") for name in weights)


def run(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_cache_train_and_test(flow_folder, tmp_path):
    config, work_dir = "configs/trace/trace_trace-tiny_lora64_scenes.py", tmp_path / "work"
    data = [
        f"train_dataloader.dataset.pseudo_edges.folder={tmp_path / 'cache'}",
        "train_dataloader.dataset.source.length=2",
        "train_dataloader.dataset.source.size=(32,32)",
        "train_dataloader.dataset.size=16",
        f"pretrained={flow_folder}",
    ]
    tiny = {
        "size": 16,
        "backbone.layers": ".*",
        "decoder.latent_channels": 4,
        "lora.targets": ".*attn1.to_q",
    }
    data += [f"model.{name}={value}" for name, value in tiny.items()]
    teacher = "train_dataloader.dataset.pseudo_edges.teacher"
    student_data = [*data, *(f"{teacher}.{name}={value}" for name, value in tiny.items())]
    data += [f"{teacher}.size=16", f"{teacher}.region_cell=1"]
    one = ["train_dataloader.dataset.source.length=1"]
    output = run("tools/cache_pseudo_edges.py", config, "--cfg-options", *data, *one)
    assert "1 done, 0 were done before, 0 failed" in output
    short = [
        *("train_dataloader.batch_size=2", "train_dataloader.num_workers=0"),
        *("train_dataloader.persistent_workers=False", "train_cfg.max_iters=2"),
        *("custom_hooks.2.iterations=1", "optim_wrapper.accumulative_counts=1"),
        *("val_dataloader.dataset.length=2", "val_dataloader.num_workers=0"),
        *("val_dataloader.dataset.size=(32,32)", "val_evaluator.workers=1"),
        *("test_dataloader.dataset.length=2", "test_dataloader.num_workers=0"),
        *("test_dataloader.dataset.size=(32,32)", "test_evaluator.workers=1"),
    ]
    options = ["--work-dir", work_dir, "--cfg-options", *data, *short]
    output = run("tools/train.py", config, "--amp", "--auto-scale-lr", "--fill-cache", *options)
    assert "1 done, 1 were done before, 0 failed" in output
    assert "edges/ODS" in output
    log = next(work_dir.glob("*/*.log")).read_text()
    assert "LR is set based on batch size of 1 and the current batch size is 2" in log
    checkpoint = work_dir / "iter_2.pth"
    weights = torch.load(checkpoint, weights_only=True)["state_dict"].values()
    assert sum(part.numel() for part in weights if isinstance(part, torch.Tensor)) < 1_000_000
    assert any(work_dir.glob("best_edges_ODS_iter_2.pth"))
    assert any(work_dir.glob("*/vis_data/vis_image/val_scene-1-001000_2.png"))
    pytest.importorskip("tensorboard")
    assert any(work_dir.glob("*/vis_data/events.out.tfevents.*"))

    out, overlays = tmp_path / "scores.json", tmp_path / "overlays"
    run("tools/test.py", config, checkpoint, "--out", out, "--show-dir", overlays, *options)
    assert len(json.loads(out.read_text())["image_id"]) == 2
    assert len(list(overlays.glob("scene-1-00000?.png"))) == 2

    recursive = config.replace("scenes", "scenes-recursive")
    student_data.append(f"{teacher}.checkpoint={checkpoint}")
    options = ["--work-dir", tmp_path / "next", "--cfg-options", *student_data, *short]
    output = run("tools/train.py", recursive, "--fill-cache", *options)
    assert "2 done, 0 were done before, 0 failed" in output
    assert (tmp_path / "next" / "iter_2.pth").is_file()
