"""The backbone that comes with the package: its files, and that it is worth shipping."""

import csv
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from trace_mm.apis import TraceInferencer
from trace_mm.datasets import SceneEdgeDataset
from trace_mm.diffusion import STUDENT_FOLDER, load_backbone, shipped_models, shipped_students
from trace_mm.evaluation import evaluate_edges
from trace_mm.models import SobelDetector, TraceTeacher, build_student
from trace_mm.registry import MODELS

FOLDER = shipped_models()["trace-tiny"]
STUDENT = FOLDER / STUDENT_FOLDER
PHOTO_STUDENT = shipped_students()["trace-tiny-photo"]
CONFIGS = Path(__file__).parents[2] / "configs" / "trace"


def test_it_is_small_and_names_no_place():
    student = sum(path.stat().st_size for path in STUDENT.iterdir())
    whole = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert student <= 4_000_000
    assert whole - student <= 12_000_000
    for path in FOLDER.rglob("config.json"):
        assert "_name_or_path" not in json.loads(path.read_text())


def test_the_training_photos_are_attributed():
    with (FOLDER / "ATTRIBUTION.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 354
    assert all(row["file"] and row["source"].startswith("http") for row in rows)
    assert {row["licence"] for row in rows} == {"CC BY 2.0", "CC BY-SA 2.0", "no known copyright"}


def test_it_loads_by_name_without_text_encoders():
    backbone = load_backbone("trace-tiny")
    assert backbone.is_flow_matching and backbone.native_size == 128
    attention = backbone.attention(backbone.encode(torch.rand(1, 3, 32, 64)), 300)
    torch.testing.assert_close(attention.sum(-1), torch.ones(1, 8 * 16))


def test_its_edges_find_an_object_whose_texture_a_gradient_follows():
    """One checked ellipse on a finer check: the best threshold keeps its outline alone."""
    dataset = SceneEdgeDataset(seed=1, start=2001, length=1)
    item = dataset[0]
    target = item["data_samples"].gt_edges

    def best_f(model):
        edges = model([item["inputs"]])[0].pred_edges.numpy()
        return evaluate_edges([edges], [target], thresholds=20, tolerance=0.015).ods

    teacher = TraceTeacher({"pretrained": "trace-tiny"}, timestep=200)
    assert best_f(teacher) > max(0.8, best_f(SobelDetector(sigma=2.0)))
    assert best_f(build_student(STUDENT)) > 0.85


def test_the_photo_student_is_the_default():
    inferencer = TraceInferencer(device="cpu")
    assert Path(inferencer.cfg.model.checkpoint) == PHOTO_STUDENT
    student = inferencer.model
    assert student.size == 384 and student.max_enlargement == 2 and student.key_cell == 2
    scale, offset = student.calibration
    assert scale > 0 and (scale, offset) != (1, 0)
    assert sum(path.stat().st_size for path in PHOTO_STUDENT.iterdir()) <= 4_000_000
    assert "ATTRIBUTION.csv" in (PHOTO_STUDENT / "README.md").read_text()


def test_its_teacher_is_that_of_the_same_backbone():
    with pytest.raises(ValueError, match=r"trace-tiny-photo is a student.*backbone='trace-tiny'"):
        TraceInferencer("trace-tiny-photo", method="teacher")
    teacher = TraceInferencer(method="teacher", device="cpu").cfg.model
    assert teacher.type == "TraceTeacher" and Path(teacher.backbone.pretrained) == FOLDER


def test_a_config_starts_from_the_shipped_student_by_name():
    config = Config.fromfile(CONFIGS / "trace-student_trace-tiny_scenes.py")
    student = MODELS.build(config.model).eval()
    image = SceneEdgeDataset(seed=1, start=2001, length=1)[0]["inputs"]
    found, merged = student([image])[0].pred_edges, build_student(STUDENT)([image])[0].pred_edges
    torch.testing.assert_close(found, merged, atol=2e-3, rtol=0)
    assert found.max() > 0.9
    inferencer = TraceInferencer(config, device="cpu", show_progress=False)
    (prediction,) = inferencer(image.permute(1, 2, 0).numpy())["predictions"]
    assert torch.equal(torch.from_numpy(prediction["edges"]), merged)


@pytest.mark.parametrize("size", [(96, 200), (200, 96), (250, 250), (64, 64)])
def test_the_student_holds_on_other_sizes_and_aspect_ratios(size):
    """Scenes 3 at a time: what was trained on is 128 x 128."""
    dataset = SceneEdgeDataset(seed=1, start=2010, length=3, size=size)
    items = [dataset[index] for index in range(len(dataset))]
    targets = [item["data_samples"].gt_edges for item in items]

    def ods(model):
        edges = [sample.pred_edges.numpy() for sample in model([item["inputs"] for item in items])]
        return evaluate_edges(edges, targets, thresholds=20, tolerance=0.015).ods

    assert ods(build_student(STUDENT)) > ods(SobelDetector(sigma=4.0)) + 0.1
