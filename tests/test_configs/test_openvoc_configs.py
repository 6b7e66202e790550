"""Configs of refined score maps: each is what its file name says, and runs."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from mmengine.config import Config

from tests.test_configs.test_uis_configs import assert_known
from trace_mm.apis import testing
from trace_mm.datasets.scenes.export import export_scenes
from trace_mm.datasets.scenes.shapes import SHAPE_CLASSES
from trace_mm.datasets.semantic_protocols import protocol_of
from trace_mm.datasets.simulated_scores import simulate_scores
from trace_mm.evaluation import SemanticScores, confusion_matrix
from trace_mm.files.id_maps import read_id_map
from trace_mm.registry import DATASETS, METRICS, MODELS, TASK_UTILS

FOLDER = Path(__file__).parents[2] / "configs" / "openvoc"
CONFIGS = sorted(FOLDER.glob("*.py"))
BENCHMARKS = [
    *("voc21", "voc20", "context60", "context59"),
    *("coco-object", "coco-stuff171", "cityscapes19", "ade150"),
]
EVERY_CONFIG = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def test_there_is_a_config_for_each_method_and_benchmark():
    names = {f"{method}_trace_{data}" for method in ("ttd", "talk2dino") for data in BENCHMARKS}
    assert {path.stem for path in CONFIGS} == names | {"scores_trace_scenes"}
    content = yaml.safe_load((FOLDER / "metafile.yml").read_text())
    listed = {model["Name"]: model["Config"] for model in content["Models"]}
    assert listed == {path.stem: f"configs/openvoc/{path.name}" for path in CONFIGS}


@EVERY_CONFIG
def test_config_is_what_its_name_says_and_names_what_there_is(path):
    method, _, data = path.stem.split("_")
    cfg = Config.fromfile(path)
    dataset = cfg.test_dataloader.dataset
    scores = "scores" if data == "scenes" else f"scores/{method}_{data}"
    assert dataset.data_prefix.score_path == scores
    protocol = protocol_of(dataset.protocol)
    assert protocol.classes == (
        ("background", *SHAPE_CLASSES) if data == "scenes" else protocol_of(data).classes
    )
    assert_known(MODELS, cfg.model)
    assert_known(MODELS, cfg.model.edges)
    assert_known(TASK_UTILS, cfg.model.refiner)
    assert_known(DATASETS, dataset)
    assert_known(METRICS, cfg.test_evaluator)


def test_the_tool_scores_what_a_plain_count_gives(tmp_path):
    root = tmp_path / "scenes"
    export_scenes(root, seed=3, start=0, length=2, size=(48, 64))
    (root / "scores").mkdir()
    (root / "edges").mkdir()
    counts = 0
    for index, path in enumerate(sorted((root / "semantic").glob("*.png"))):
        classes = read_id_map(path).ids
        scores = simulate_scores(classes, 9, 16, 0.1, 0, index)
        scores = np.kron(scores, np.ones((1, 4, 4), np.float32))  # decided without resizing
        np.save(root / "scores" / f"{path.stem}.npy", scores)
        np.save(root / "edges" / f"{path.stem}.npy", np.zeros(classes.shape, np.float32))
        counts = counts + confusion_matrix(classes, scores.argmax(0).astype(np.int32), 9)
    expected = SemanticScores.of(counts).percentages()
    options = {
        "data_root": str(root),
        "test_dataloader.num_workers": 0,
        "model.refiner.steps": 0,
    }
    cfg = testing.testing_config(
        FOLDER / "scores_trace_scenes.py",
        options,
        work_dir=str(tmp_path / "work"),
        out=str(tmp_path / "scores.json"),
        edges=str(root / "edges"),
    )
    found = testing.score_model(cfg)
    assert found == {f"semantic/{name}": pytest.approx(v) for name, v in expected.items()}
    assert (tmp_path / "scores.json").is_file()
