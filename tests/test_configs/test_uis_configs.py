"""Configs of mask refinement: each is what its file name says, and names what there is."""

import inspect
from pathlib import Path

import pytest
from mmengine.config import Config

from trace_mm.engine.runner_config import read_config
from trace_mm.refinement import MASK_FORMATS
from trace_mm.registry import DATASETS, METRICS, MODELS, TASK_UTILS

FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted((FOLDER / "uis").glob("*.py"))
METHODS = ["maskcut", "promerge", "tokencut", "cutler-test-time"]
BENCHMARKS = ["voc2012", "coco2014", "coco2017", "lvis", "kitti", "objects365", "sa1b"]
LIMITS = {"mask-rcnn": ["hrsid", "isaid"], "ssa": ["monuseg", "tnbc"], "coin": ["monuseg", "tnbc"]}
EVERY_CONFIG = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def assert_known(registry, config):
    """The type is registered and takes the options."""
    kind = registry.get(config["type"])
    assert kind is not None, config["type"]
    signature = inspect.signature(kind)
    if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        signature.bind(**{name: value for name, value in config.items() if name != "type"})


def texts(value):
    """All texts of nested settings."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def test_there_is_a_config_for_each_method_and_benchmark():
    names = {path.stem for path in CONFIGS}
    assert names >= {f"{method}_trace_{data}" for method in METHODS for data in BENCHMARKS}
    assert {f"{method}_trace_scenes" for method in METHODS[:3]} <= names
    assert {f"{method}_trace_{data}" for method, sets in LIMITS.items() for data in sets} <= names
    backbones = ["pixart-alpha", "sd15", "sd35-large", "sdxl"]
    assert {f"promerge_trace-{backbone}_coco2014" for backbone in backbones} <= names


@EVERY_CONFIG
def test_config_is_what_its_name_says(path):
    method, model, data = path.stem.split("_")
    cfg = Config.fromfile(path)
    base = Config.fromfile(FOLDER / "_base_" / "datasets" / f"uis_{data}.py")
    assert cfg.data_root == base.data_root
    assert cfg.test_evaluator == base.test_evaluator
    dataset = cfg.test_dataloader.dataset
    assert dataset.images == base.test_dataloader.dataset.images
    source = method.removesuffix("-test-time")
    assert Path(dataset.masks.path).stem == f"{source}_{data}"
    assert dataset.masks.format in {"auto", "coco" if source == "mask-rcnn" else source}
    assert dataset.masks.format == "auto" or dataset.masks.format in MASK_FORMATS
    trace, _, backbone = model.partition("-")
    assert method in METHODS or data in LIMITS[method]
    assert trace == "trace"
    student = "trace-tiny" if data == "scenes" else "trace-tiny-photo"
    if backbone:
        training = f"trace_{backbone}_lora64_imagenet"
        assert (FOLDER / "trace" / f"{training}.py").is_file()
        student = f"work_dirs/{training}/iter_20000.pth"
        assert cfg.model.refiner.threshold == 0.5
    assert cfg.edges == student
    assert cfg.model.edges == {"type": "EdgesFrom", "source": student}


@EVERY_CONFIG
def test_config_names_what_there_is(path):
    cfg = Config.fromfile(path)
    assert cfg.default_scope == "trace_mm"
    assert_known(MODELS, cfg.model)
    assert_known(MODELS, cfg.model.edges)
    assert_known(TASK_UTILS, cfg.model.refiner)
    assert_known(DATASETS, cfg.test_dataloader.dataset)
    assert_known(DATASETS, cfg.test_dataloader.dataset.images)
    assert_known(METRICS, cfg.test_evaluator)
    assert cfg.test_dataloader.collate_fn.type == "pseudo_collate"


@EVERY_CONFIG
def test_a_user_changes_one_path(path):
    old = Config.fromfile(path).data_root
    cfg = read_config(path, {"data_root": "elsewhere"})
    dataset = cfg.test_dataloader.dataset
    for settings in (cfg, dataset, dataset.images, cfg.test_evaluator):
        assert settings.data_root == "elsewhere"
    assert not [text for text in texts(cfg._cfg_dict.to_dict()) if text.startswith(old)]
    for part in (dataset.masks.path, dataset.images.ann_file, cfg.test_evaluator.ann_file):
        assert not Path(part).is_absolute()
    assert dataset.images.ann_file == cfg.test_evaluator.ann_file


def test_satellites_count_classes_and_nuclei_images():
    """As Tables 14 and 15 do."""
    for path in CONFIGS:
        data = path.stem.rpartition("_")[2]
        evaluator = Config.fromfile(path).test_evaluator
        assert evaluator.get("classes", False) == (data in LIMITS["mask-rcnn"])
        assert evaluator.get("image_pq", False) == (data in LIMITS["ssa"])
