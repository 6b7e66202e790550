"""A student by its name: built with LoRA merged, without peft."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny_students import build, images_of, shake
from trace_mm.models import build_trained_student, save_student
from trace_mm.publish.export import export_student
from trace_mm.registry import MODELS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def student(flow_folder):
    decoder = {"type": "GridFreeDecoder", "upsampling": 2}  # of the package, as the tools need it
    return shake(build(flow_folder, size=16, seed=3, decoder=decoder))


def test_a_student_by_checkpoint_or_folder(flow_folder, student, tmp_path):
    (image,) = images_of(1)
    expected = student.predict([image])[0].pred_edges
    checkpoint = save_student(student, tmp_path / "iter_1.pth")
    plain = export_student(checkpoint, tmp_path / "plain", backbone=str(flow_folder))
    merged = export_student(checkpoint, tmp_path / "merged", merge=True, backbone=str(flow_folder))
    for name, backbone in ((checkpoint, flow_folder), (plain, flow_folder), (merged, None)):
        source = None if backbone is None else {"pretrained": str(backbone)}
        config = {"type": "TrainedStudent", "student": str(name), "backbone": source}
        model = MODELS.build(config)
        torch.testing.assert_close(model.predict([image])[0].pred_edges, expected)
        assert (model.size, model.seed, model.tile) == (16, 3, None)
    options = {"size": 32, "seed": 1, "tile": "auto", "timestep": 2}
    model = build_trained_student(str(merged), **options)
    assert (model.size, model.seed, model.tile, model.timestep) == (32, 1, 32, 2)


def test_no_such_student(flow_folder):
    with pytest.raises(FileNotFoundError, match="nothing: no student"):
        build_trained_student("nothing")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        build_trained_student("gone.pth")


def test_a_decoder_that_is_named_must_be_its_own(flow_folder, student, tmp_path):
    checkpoint = save_student(student, tmp_path / "iter_1.pth")
    source = {"pretrained": str(flow_folder)}
    own = {"type": "GridFreeDecoder", "upsampling": 2}
    build_trained_student(str(checkpoint), source, decoder=own)
    with pytest.raises(ValueError, match=r"iter_1\.pth: the decoder's weights do not fit"):
        build_trained_student(str(checkpoint), source, decoder={**own, "upsampling": 4})


WITHOUT_PEFT = """
import runpy, sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *a: None if name.split(".")[0] == "peft" else find(name, *a)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without_peft(tool, *arguments):
    """A tool in a process in which peft is not installed."""
    command = [sys.executable, "-c", WITHOUT_PEFT, str(ROOT / tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture
def data(tmp_path):
    from trace_mm.datasets.scenes.export import export_scenes

    export_scenes(tmp_path / "data", 1, 0, 2, (32, 32))
    (tmp_path / "data/masks").mkdir()
    (tmp_path / "data/masks/maskcut_scenes.json").write_bytes(
        (tmp_path / "data/instances.json").read_bytes()
    )
    return tmp_path / "data"


def test_tools_predict_with_a_student_of_ones_own_without_peft(
    flow_folder, student, data, tmp_path
):
    """docs/refinement.md: configs of uis and panoptic with another student."""
    checkpoint = save_student(student, tmp_path / "iter_1.pth")
    folder = export_student(checkpoint, tmp_path / "mine", merge=True, backbone=str(flow_folder))
    own = ["--cfg-options", f"data_root={data}", f"edges={folder}"]
    config = "configs/uis/maskcut_trace_scenes.py"
    masks = ["test_dataloader.dataset.masks.format=coco", "test_dataloader.num_workers=0"]
    out = tmp_path / "refined.json"
    done = run_without_peft("tools/refine_masks.py", config, "--out", out, *own, *masks)
    assert done.returncode == 0 and out.is_file(), done.stderr
    scores = tmp_path / "scores.json"
    work = ["--work-dir", tmp_path / "work", "--out", scores]
    done = run_without_peft("tools/test.py", config, *work, *own, *masks)
    assert done.returncode == 0 and "AP_touching" in scores.read_text(), done.stderr
    labels = ["images=images", "semantic=semantic", f"classes={data / 'classes.json'}"]
    config = "configs/panoptic/dhr_trace_voc2012.py"
    arguments = [config, "--out", tmp_path / "labels", *own, *labels]
    done = run_without_peft("tools/make_pseudo_panoptic.py", *arguments)
    assert done.returncode == 0 and (tmp_path / "labels/panoptic.json").is_file(), done.stderr
    # A checkpoint, whose backbone is named beside it.
    edges = [f"edges={checkpoint}", f"model.edges.backbone.pretrained={flow_folder}"]
    config = "configs/uis/maskcut_trace_scenes.py"
    arguments = ["--out", out, "--overwrite", "--cfg-options", f"data_root={data}", *edges, *masks]
    done = run_without_peft("tools/refine_masks.py", config, *arguments)
    assert done.returncode == 0, done.stderr


def test_a_config_that_trains_is_tested_without_peft(flow_folder, student, data, tmp_path):
    checkpoint = save_student(student, tmp_path / "iter_1.pth")
    config = "configs/trace/trace_trace-tiny_lora64_scenes.py"
    options = [
        *("--work-dir", tmp_path / "work", "--out", tmp_path / "scores.json", "--cfg-options"),
        *(f"pretrained={flow_folder}", "model.backbone.layers=.*", "model.size=16"),
        *("model.decoder.latent_channels=0", "test_dataloader.num_workers=0"),
        *("test_dataloader.dataset.length=2", "test_dataloader.dataset.size=(32,32)"),
        "test_evaluator.workers=1",
    ]
    done = run_without_peft("tools/test.py", config, checkpoint, *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(json.loads((tmp_path / "scores.json").read_text())["image_id"]) == 2
    done = run_without_peft("tools/test.py", config, *options)  # a student that is not trained
    assert done.returncode == 2 and "needs peft: pip install" in done.stderr.splitlines()[-1]
