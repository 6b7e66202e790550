"""Configs of detectors: each is what its name says, learns an iteration, and is scored anywhere."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from trace_mm import cli
from trace_mm.apis.training import train, training_config
from trace_mm.engine.runner_config import read_config
from trace_mm.files.coco import instance_annotation

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDER = CONFIGS / "detectors"
NAME = re.compile(
    r"(?P<cascade>cascade-)?mask-rcnn_(?P<backbone>r50_fpn|trace-tiny)_"
    r"(?P<part>droploss|self-train)_(?P<gpus>\d+)xb(?P<batch>\d+)-"
    r"(?P<iterations>\d+)(?P<thousands>k?)_(?P<data>imagenet|scenes)"
)
PATHS = sorted(FOLDER.glob("*.py"))
LARGE = [path for path in PATHS if "imagenet" in path.stem]
SIZE = (48, 64)
by_name = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def box_heads(cfg):
    heads = cfg.model.roi_head.bbox_head
    return heads if isinstance(heads, list) else [heads]


def samplers(cfg):
    stages = cfg.model.train_cfg.rcnn
    return [stage.sampler for stage in (stages if isinstance(stages, list) else [stages])]


def test_there_is_a_config_for_each_detector_and_part():
    found = {
        tuple(NAME.fullmatch(path.stem).group("cascade", "backbone", "part")) for path in PATHS
    }
    assert found == {
        (cascade, backbone, part)
        for cascade, backbone in ((None, "r50_fpn"), ("cascade-", "r50_fpn"), (None, "trace-tiny"))
        for part in ("droploss", "self-train")
    }


@by_name
def test_config_is_what_its_name_says(path):
    name, cfg = NAME.fullmatch(path.stem).groupdict(), read_config(path, {})
    assert cfg.model.type == ("CascadeRCNN" if name["cascade"] else "MaskRCNN")
    assert cfg.train_dataloader.batch_size == int(name["batch"])
    assert cfg.auto_scale_lr.base_batch_size == int(name["gpus"]) * int(name["batch"])
    iterations = int(name["iterations"]) * (1000 if name["thousands"] else 1)
    assert cfg.train_cfg.max_iters == cfg.max_iters == iterations
    heads = box_heads(cfg)
    assert len(heads) == len(samplers(cfg)) == (3 if name["cascade"] else 1)
    threshold = 0.01 if name["part"] == "droploss" else None
    for head, sampler in zip(heads, samplers(cfg), strict=True):
        assert (head.type, head.num_classes) == ("trace_mm.DropLossBBoxHead", 1)
        assert head.drop_threshold == threshold
        assert sampler.type == "trace_mm.DropLossSampler"
    masks = cfg.model.roi_head.mask_head
    assert {one.num_classes for one in (masks if isinstance(masks, list) else [masks])} == {1}


@by_name
def test_metafile_lists_each_config(path):
    content = yaml.safe_load((FOLDER / "metafile.yml").read_text())
    listed = {model["Name"]: model["Config"] for model in content["Models"]}
    assert listed[path.stem] == f"configs/detectors/{path.name}"


def benchmarks():
    return sorted(
        path.stem.removeprefix("uis_") for path in (CONFIGS / "_base_/datasets").glob("uis_*")
    )


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_of_masks_is_a_test_set(path, name):
    base = read_config(CONFIGS / "_base_" / "datasets" / f"uis_{name}.py", {})
    cfg = read_config(path, {"test_set": name})
    dataset, images = cfg.test_dataloader.dataset, base.test_dataloader.dataset.images
    assert dataset.data_root == images.data_root
    assert (dataset.ann_file, dataset.data_prefix.img) == (
        images.ann_file,
        images.data_prefix.img_path,
    )
    assert cfg.test_evaluator == {
        **base.test_evaluator,
        "type": f"trace_mm.{base.test_evaluator.type}",
    }
    moved = read_config(path, {"test_set": name, "data_root": "elsewhere"})
    assert moved.test_dataloader.dataset.data_root == moved.test_evaluator.data_root == "elsewhere"


@by_name
def test_masks_of_the_training_images_are_written(path):
    cfg = read_config(path, {"test_set": "train", "images": "photos", "labels": "masks.json"})
    found = cfg.test_dataloader.dataset
    assert (found.data_root, found.ann_file, found.data_prefix.img) == ("", "masks.json", "photos")
    assert cfg.test_evaluator.type == "trace_mm.InstanceResultsFile"
    assert cfg.test_evaluator.ann_file == "masks.json"
    trained = cfg.train_dataloader.dataset
    trained = trained.get("dataset", trained)
    assert (trained.ann_file, trained.data_prefix.img) == ("masks.json", "photos")


def write_data(root):
    """Four photos of squares, as images to learn from and as a benchmark."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(4):
        pixels = rng.integers(0, 60, (*SIZE, 3), dtype=np.uint8)
        images.append({"id": number, "file_name": f"{number}.png"})
        images[-1].update(height=SIZE[0], width=SIZE[1])
        for left in (4, 34):
            mask = np.zeros(SIZE, dtype=bool)
            mask[10:30, left : left + 20] = True
            pixels[mask] = rng.integers(120, 255, 3)
            annotations.append({"id": len(annotations), "image_id": number})
            annotations[-1].update(instance_annotation(mask))
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "fg"}]
    (root / "instances.json").write_text(json.dumps(content))


def run_tool(monkeypatch, tool, *arguments):
    """``tools/train.py`` or ``test.py`` in this process, which saves importing mmdet again."""
    monkeypatch.setattr(sys, "argv", ["trace-mm", tool, *map(str, arguments)])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert cli.main() == 0
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.stem)
def test_an_iteration_and_a_score(path, tmp_path, monkeypatch, capsys):
    root, work_dir = tmp_path / "data", tmp_path / "work"
    write_data(root)
    norm = {"type": "BN", "requires_grad": True}
    learned = [f"images={root / 'images'}", f"labels={root / 'instances.json'}"]
    small = [  # images; the model has its full size
        f"data_root={root}",
        "test_set=scenes",
        "model.backbone.init_cfg=None",
        *(f"model.{part}.norm_cfg.type={norm['type']}" for part in ("backbone", "neck")),
        "train_dataloader.dataset.dataset.pipeline.2.scales=[(64,64)]",
        "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False",
        "test_dataloader.dataset.pipeline.1.scale=(64,64)",
        "test_dataloader.num_workers=0",
    ]
    train = ["train_cfg.max_iters=1", "default_hooks.checkpoint.interval=1"]
    train += ["default_hooks.checkpoint.save_optimizer=False"]
    options = ["--cfg-options", *small, *train, *learned]
    run_tool(monkeypatch, "train", path, "--work-dir", work_dir, *options)
    out = work_dir / "scores.json"
    arguments = [path, work_dir / "iter_1.pth", "--work-dir", work_dir, "--out", out]
    run_tool(monkeypatch, "test", *arguments, "--cfg-options", *small)
    assert re.search(r"^AR100 +[\d.-]+$", capsys.readouterr().out, re.MULTILINE)
    assert json.loads(out.read_text())["detections"] > 0


def test_training_needs_the_labels_that_a_test_does_not(tmp_path):
    path = FOLDER / "mask-rcnn_trace-tiny_droploss_1xb8-600_scenes.py"
    write_data(tmp_path / "data")
    given = {"images": str(tmp_path / "data" / "images"), "labels": str(tmp_path / "gone.json")}
    with pytest.raises(FileNotFoundError, match=r"gone\.json: no such annotation file"):
        train(training_config(path, given, work_dir=str(tmp_path / "work")))
