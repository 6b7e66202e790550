"""Students run in the precision that they were trained in, unless another is asked for."""

import json

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config

from tests.tiny_students import build, images_of, samples_of, shake
from trace_mm.apis import TraceInferencer
from trace_mm.engine.runner_config import set_trained_dtype
from trace_mm.models import build_student, read_student, save_student
from trace_mm.models.student_files import trained_dtype
from trace_mm.models.student_state import unpack_description
from trace_mm.ops import dtypes
from trace_mm.ops.dtypes import is_fast_on
from trace_mm.publish.export import export_student

OPTIONS = {"device": "cpu", "show_progress": False}
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
DECODER = {"type": "GridFreeDecoder", "width": 8, "depths": (1, 1, 1)}
large = pytest.mark.parametrize("name", ["sd35", "flux-dev"])


@pytest.fixture(autouse=True)
def _fast_cpu(monkeypatch):
    """What the CPU of the test can do does not matter."""
    monkeypatch.setattr(dtypes, "is_fast_on", lambda dtype, device: True)


def trained(folder, dtype="bfloat16"):
    """A student of a backbone in half precision that has seen a batch."""
    student = shake(build(folder, decoder=DECODER, size=16, backbone={"dtype": dtype}))
    student(images_of(2), samples_of(2), mode="loss")
    return student


def denoiser_dtype(inferencer):
    return inferencer.model.backbone.denoiser.dtype


@large
def test_a_student_runs_in_the_precision_of_its_training(model_folder, tmp_path, name):
    folder = model_folder(name, 5)
    file = save_student(trained(folder), tmp_path / "student.safetensors")
    assert trained_dtype(file) == "bfloat16"
    half = TraceInferencer(file, backbone=folder, **OPTIONS)
    assert denoiser_dtype(half) == torch.bfloat16
    assert half.settings()["backbone.dtype"] == "bfloat16"
    assert build_student(file, {"pretrained": folder}).backbone.denoiser.dtype == torch.bfloat16
    full = TraceInferencer(file, backbone=folder, dtype="float32", **OPTIONS)
    assert denoiser_dtype(full) == torch.float32
    assert full.settings()["backbone.dtype"] == "float32"
    one, other = (model(IMAGE)["predictions"][0]["edges"] for model in (half, full))
    assert one.std() > 0 and not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=0.05)


@large
def test_an_exported_student_too(model_folder, tmp_path, name):
    folder = model_folder(name, 5)
    file = save_student(trained(folder), tmp_path / "student.pth")
    expected = TraceInferencer(file, backbone=folder, **OPTIONS)(IMAGE)["predictions"][0]["edges"]
    for merge, place in ((True, {}), (False, {"backbone": folder})):
        out = export_student(file, tmp_path / f"merged {merge}", merge=merge, backbone=folder)
        assert json.loads((out / "trace_student.json").read_text())["trained_dtype"] == "bfloat16"
        assert "in bfloat16" in (out / "README.md").read_text()
        inferencer = TraceInferencer(out, **place, **OPTIONS)
        assert denoiser_dtype(inferencer) == torch.bfloat16
        found = inferencer(IMAGE)["predictions"][0]["edges"]
        np.testing.assert_array_equal(found, expected)


def test_a_config_with_a_checkpoint_too(model_folder, tmp_path):
    folder = model_folder("sd35", 5)
    file = save_student(trained(folder), tmp_path / "student.safetensors")
    model = {"type": "TraceStudent", "checkpoint": str(file)}
    for given, expected in (({}, torch.bfloat16), ({"dtype": "float32"}, torch.float32)):
        config = {**model, "backbone": {"pretrained": str(folder), **given}}
        inferencer = TraceInferencer(config, **OPTIONS)
        assert denoiser_dtype(inferencer) == expected
        assert f"torch.{inferencer.settings()['backbone.dtype']}" == str(expected)


def test_a_test_of_a_checkpoint_too(model_folder, tmp_path):
    folder = model_folder("sd35", 5)
    file = save_student(trained(folder), tmp_path / "student.pth")
    for kind, given, expected in (
        ("TraceStudent", {}, "bfloat16"),
        ("TraceStudent", {"dtype": "float32"}, "float32"),
        ("TraceTeacher", {}, None),
    ):
        cfg = Config({"model": {"type": kind, "backbone": {"pretrained": "folder", **given}}})
        set_trained_dtype(cfg, str(file))
        assert cfg.model.backbone.get("dtype") == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_a_precision_of_training(flow_folder, dtype):
    student = build(flow_folder)
    described = unpack_description(student.state_dict())["backbone"]
    assert described["dtype"] == "float32"
    with torch.autocast("cpu", dtype):
        student(images_of(1), samples_of(1), mode="loss")
    described = unpack_description(student.state_dict())["backbone"]
    assert f"torch.{described['dtype']}" == str(dtype)
    student(images_of(1), samples_of(1), mode="loss")  # a run that goes on without
    assert unpack_description(student.state_dict())["backbone"]["dtype"] == "float32"


def test_a_cpu_that_would_emulate_it_computes_in_float32_and_says_so(
    model_folder, tmp_path, monkeypatch, capsys
):
    folder = model_folder("flux-dev", 5)
    file = save_student(trained(folder), tmp_path / "student.safetensors")
    monkeypatch.setattr(dtypes, "is_fast_on", lambda dtype, device: dtype == "float32")
    inferencer = TraceInferencer(file, backbone=folder, **OPTIONS)
    assert denoiser_dtype(inferencer) == torch.float32
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "note:" in line]
    assert "trained in bfloat16" in line and "computes in float32" in line
    asked = TraceInferencer(file, backbone=folder, dtype="bfloat16", **OPTIONS)
    assert denoiser_dtype(asked) == torch.bfloat16
    assert "note:" not in capsys.readouterr().err


def test_the_shipped_student_stays_in_float32():
    assert trained_dtype("trace-tiny") == "float32"
    assert "dtype" not in unpack_description(read_student("trace-tiny"))["backbone"]
    inferencer = TraceInferencer(**OPTIONS)
    assert "dtype" not in inferencer.cfg.model.backbone
    assert denoiser_dtype(inferencer) == torch.float32


def test_speed_is_a_matter_of_cpus_only():
    assert is_fast_on("float32", "cpu") and is_fast_on("bfloat16", "cuda:1")
    assert isinstance(is_fast_on("float16", "cpu"), bool)


def test_a_card_names_a_base_model_only_if_a_hub_has_it(model_folder, tmp_path):
    student = trained(model_folder("sd35", 5))
    for name, expected in (("some/model", "some/model"), ("trace-tiny", None), ("folder", None)):
        student._description["backbone"]["name"] = name
        file = save_student(student, tmp_path / "student.safetensors")
        out = tmp_path / name.replace("/", "-")
        student_folder = model_folder("sd35", 5)
        export_student(file, out, backbone=student_folder)
        head = yaml.safe_load((out / "README.md").read_text().split("---")[1])
        assert head.get("base_model") == expected
