"""Configs of pseudo-panoptic labels: each names what there is, and what a training config reads."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from trace_mm.panoptic import PanopticClasses
from trace_mm.panoptic.class_choice import VARIANTS
from trace_mm.registry import MODELS, TASK_UTILS

FOLDER = Path(__file__).parents[2] / "configs" / "panoptic"
CONFIGS = sorted(FOLDER.glob("*.py"))
BACKBONES = ["pixart-alpha", "sd15", "sd35-large", "sdxl"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_names_what_there_is(path):
    cfg = Config.fromfile(path)
    method, _, data = path.stem.split("_")
    assert cfg.semantic == f"semantic/{method}"
    assert cfg.classes == {"coco2017": "coco2017-contiguous"}.get(data, data)
    names = {variant.name: variant.file for variant in VARIANTS}
    classes = PanopticClasses.from_file(names.get(cfg.classes, cfg.classes))
    assert classes.num_things in (20, 80)
    assert cfg.images and cfg.data_root
    assert MODELS.get(cfg.model.type) is not None
    assert TASK_UTILS.build(cfg.labeler).settings()


def test_there_is_one_for_each_method_and_dataset():
    data = ("coco2017", "voc2012")
    names = {f"{method}_trace_{one}" for method in ("dhr", "mars") for one in data}
    names |= {f"dhr_trace-{backbone}_{one}" for backbone in BACKBONES for one in data}
    assert {path.stem for path in CONFIGS} == names


@pytest.mark.parametrize("backbone", BACKBONES)
def test_variants_read_what_a_training_leaves(backbone):
    cfg = Config.fromfile(FOLDER / f"dhr_trace-{backbone}_voc2012.py")
    training = f"trace_{backbone}_lora64_voc2012"
    assert (FOLDER.parent / "trace" / f"{training}.py").is_file()
    source = f"work_dirs/{training}/iter_20000.pth"
    assert cfg.edges == source and cfg.model == {"type": "EdgesFrom", "source": source}
    assert TASK_UTILS.build(cfg.labeler).settings()["threshold"] == 0.5


def test_metafile_lists_each_config():
    content = yaml.safe_load((FOLDER / "metafile.yml").read_text())
    listed = {model["Name"]: model["Config"] for model in content["Models"]}
    assert listed == {path.stem: f"configs/panoptic/{path.name}" for path in CONFIGS}
