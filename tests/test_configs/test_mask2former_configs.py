"""Configs of Mask2Former: each is what its name says, trains an iteration, and is scored."""

import functools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.registry import init_default_scope
from PIL import Image

from tests.tiny_panoptic import write_panoptic
from trace_mm import cli
from trace_mm.engine.images_seen import set_images_seen
from trace_mm.engine.runner_config import read_config
from trace_mm.panoptic import PanopticClasses

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
registry = pytest.importorskip("mmdet.registry", reason="mmdet is not installed")

FOLDER = Path(__file__).parents[2] / "configs" / "mask2former"
NAME = re.compile(
    r"mask2former_(?P<backbone>r50|swin-l-p4-w12-384-in21k)_(?P<gpus>\d+)xb(?P<batch>\d+)-lsj-"
    r"(?P<epochs>\d+)e_trace-(?P<masks>dhr|mars)_(?P<data>voc2012|coco2017)-panoptic"
)
PAPER = [path for path in sorted(FOLDER.glob("*.py")) if NAME.fullmatch(path.stem)]
RESNET = [path for path in PAPER if "_r50_" in path.stem]
SWIN = [path for path in PAPER if "_swin-l-" in path.stem]
SCENES = next(FOLDER.glob("*_scenes-panoptic.py"))
TRAIN_IMAGES = {"voc2012": 10582, "coco2017": 118000}
SIDE = 64
STEMS = ["one", "two", "three"]


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def two_squares():
    """Segment ids (64, 64): two squares on a ground."""
    ids = np.full((SIDE, SIDE), 3, dtype=np.int32)
    ids[4:28, 4:28], ids[36:60, 30:60] = 1, 2
    return ids


def write_dataset(classes, images, *labels):
    """Three images of two things on stuff, and the same labels in each of the folders."""
    images.mkdir(parents=True)
    categories = classes.categories()
    things = [category["id"] for category in categories if category["isthing"]]
    stuff = [category["id"] for category in categories if not category["isthing"]]
    colors = np.array([[0, 0, 0], [200, 30, 30], [30, 200, 30], [90, 90, 220]], dtype=np.uint8)
    ids, maps = two_squares(), {}
    for number, stem in enumerate(STEMS):
        Image.fromarray(colors[ids]).save(images / f"{stem}.jpg")
        maps[stem] = (ids, {1: things[number], 2: things[-1], 3: stuff[-1 - number % len(stuff)]})
    for folder in labels:
        write_panoptic(folder, maps, categories=categories)


def run_tool(monkeypatch, tool, *arguments):
    """``tools/train.py`` or ``test.py`` in this process, which saves importing mmdet again."""
    monkeypatch.setattr(sys, "argv", ["trace-mm", tool, *map(str, arguments)])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert cli.main() == 0
    finally:
        torch.set_num_threads(threads)


def test_there_is_a_config_for_each_row_of_table_2():
    found = {tuple(NAME.fullmatch(path.stem).group("backbone", "masks", "data")) for path in PAPER}
    backbones = ("r50", "swin-l-p4-w12-384-in21k")
    wanted = {(b, m, d) for b in backbones for m in ("dhr", "mars") for d in TRAIN_IMAGES}
    assert found == wanted


@by_name(PAPER)
def test_config_is_what_its_name_says(path):
    name, cfg = NAME.fullmatch(path.stem).groupdict(), read_config(path, {})
    data = name["data"]
    assert cfg.train_dataloader.batch_size == int(name["batch"])
    assert cfg.auto_scale_lr.base_batch_size == int(name["gpus"]) * int(name["batch"]) == 16
    epochs = cfg.train_cfg.max_iters * 16 / TRAIN_IMAGES[data]
    assert epochs == pytest.approx(int(name["epochs"]), rel=0.01)
    assert cfg.param_scheduler.end == cfg.train_cfg.max_iters
    assert cfg.model.backbone.type == ("ResNet" if name["backbone"] == "r50" else "SwinTransformer")
    assert cfg.train_dataloader.dataset.labels == f"data/labels/trace-{name['masks']}_{data}"
    assert cfg.test_dataloader.dataset.get("labels") is None  # ground truth


@by_name(PAPER)
def test_one_gpu_sees_as_many_images_as_eight(path):
    cfg = read_config(path, {})
    cfg.launcher = "none"
    images = cfg.train_cfg.max_iters * 16
    assert "so that as many images are seen" in set_images_seen(cfg)
    assert cfg.train_cfg.max_iters * cfg.train_dataloader.batch_size == images
    assert cfg.param_scheduler.end == cfg.train_cfg.max_iters
    assert max(cfg.param_scheduler.milestones) < cfg.train_cfg.max_iters
    assert cfg.auto_scale_lr.enable


@by_name([*PAPER, SCENES])
def test_classes_of_model_and_data_agree(path):
    cfg = read_config(path, {})
    head, fusion = cfg.model.panoptic_head, cfg.model.panoptic_fusion_head
    meta = registry.DATASETS.get("CocoPanopticDataset").METAINFO
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        given = {**meta, **loader.dataset.get("metainfo", {})}
        for part in (head, fusion):
            assert part.num_things_classes == len(given["thing_classes"])
            assert part.num_stuff_classes == len(given["stuff_classes"])
    classes = head.num_things_classes + head.num_stuff_classes
    assert head.loss_cls.class_weight == [1.0] * classes + [0.1]
    if path in PAPER:
        shipped = PanopticClasses.from_file(NAME.fullmatch(path.stem)["data"])
        assert tuple(given["thing_classes"]) == shipped.thing_classes
        assert tuple(given["stuff_classes"]) == shipped.stuff_classes


@by_name([*PAPER, SCENES])
def test_a_user_changes_one_path(path):
    cfg = read_config(path, {"data_root": "elsewhere"})
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == "elsewhere"
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.data_root == "elsewhere"


def test_metafile_lists_each_config():
    content = yaml.safe_load((FOLDER / "metafile.yml").read_text())
    listed = {(model["Name"], model["Config"]) for model in content["Models"]}
    assert listed >= {(path.stem, f"configs/mask2former/{path.name}") for path in PAPER}
    assert all((FOLDER.parents[1] / config).is_file() for _, config in listed)


@by_name(SWIN)
def test_swin_is_built(path, monkeypatch):
    cfg = read_config(path, {"model.backbone.init_cfg": None})
    init_default_scope("mmdet")
    # Swin reads numbers off this one.
    monkeypatch.setattr(torch, "linspace", functools.partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        model = registry.MODELS.build(cfg.model)
    assert sum(weights.numel() for weights in model.parameters()) == pytest.approx(216e6, rel=0.01)


@pytest.mark.slow
@by_name(RESNET)
def test_an_iteration_and_a_score(path, tmp_path, monkeypatch, capsys):
    data, labels, work_dir = tmp_path / "data", tmp_path / "labels", tmp_path / "work"
    voc = "voc2012" in path.stem
    classes = PanopticClasses.from_file("voc2012" if voc else "coco2017")
    truth = data / ("panoptic_val" if voc else "annotations")
    write_dataset(classes, data / ("JPEGImages" if voc else "train2017"), labels, truth)
    if voc:
        (data / "ImageSets/Segmentation").mkdir(parents=True)
        (data / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join(STEMS))
    if not voc:  # as COCO names them
        (data / "train2017").rename(data / "val2017")
        (data / "train2017").symlink_to("val2017")
        (truth / "panoptic.json").rename(truth / "panoptic_val2017.json")
        (truth / "panoptic").rename(truth / "panoptic_val2017")
    small = [  # images; the model has its full size
        f"data_root={data}",
        "model.backbone.init_cfg=None",
        "model.train_cfg.num_points=64",
        "model.data_preprocessor.batch_augments.0.size=(64,64)",
        "train_dataloader.dataset.pipeline.3.scale=(64,64)",
        "train_dataloader.dataset.pipeline.4.crop_size=(64,64)",
        "test_dataloader.dataset.pipeline.1.scale=(64,64)",
        *(f"{split}_dataloader.{name}" for split in ("train", "val", "test") for name in
          ("num_workers=0", "persistent_workers=False")),
    ]  # fmt: skip
    train = [f"train_dataloader.dataset.labels={labels}", "train_cfg.max_iters=1"]
    train += ["auto_scale_lr.iterations=False"]
    train += ["train_cfg.val_interval=2", "default_hooks.checkpoint.interval=1"]
    train += ["default_hooks.checkpoint.save_optimizer=False"]
    run_tool(monkeypatch, "train", path, "--work-dir", work_dir, "--cfg-options", *small, *train)
    out = work_dir / "scores.json"
    arguments = [path, work_dir / "iter_1.pth", "--work-dir", work_dir, "--out", out]
    run_tool(monkeypatch, "test", *arguments, "--cfg-options", *small)
    assert re.search(r"^PQ +\d", capsys.readouterr().out, re.MULTILINE)
    assert json.loads(out.read_text())
