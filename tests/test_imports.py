"""What a call imports: what it does not use must cost nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import trace_mm.apis
import trace_mm.engine
from trace_mm.cli import main

ROOT = Path(__file__).parents[1]

# Of MMEngine: what trains. Of others: what knows models.
TRAINING = {"mmengine.runner", "mmengine.optim", "mmengine.model", "mmengine.infer"}
MODELS = {"diffusers", "transformers", "peft", "timm"}
HEAVY = TRAINING | MODELS | {"matplotlib", "scipy.stats", "torch._dynamo"}

CONFIGS = {
    "cache_pseudo_edges": """
root = ""
train_dataloader = dict(
    dataset=dict(
        type="UnlabelledImageDataset",
        source=dict(type="ImageFolder", data_root=root),
        size=16,
        pseudo_edges=dict(folder="{folder}/cache", teacher=dict(type="SobelDetector")),
    ),
)
""",
    "refine_masks": """
root = ""
model = dict(
    type="MaskRefiner",
    edges=dict(type="SobelDetector"),
    refiner=dict(type="BoundaryGuidedPropagation", steps=4),
)
test_dataloader = dict(
    dataset=dict(
        data_root="{folder}",
        masks=dict(path="masks"),
        images=dict(data_prefix=dict(img_path=root), ann_file="{folder}/images.json"),
    )
)
""",
    "make_pseudo_panoptic": """
root = ""
images, semantic, classes = root, "{folder}/semantic", "voc2012"
model = dict(type="SobelDetector")
labeler = dict(type="PanopticLabeler")
""",
}


def _imported(code, folder=ROOT):
    """The modules that a process has imported once it has run some code."""
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


def _run(*arguments, folder=ROOT):
    """What the command imports, which must not fail."""
    call = f"from trace_mm.cli import main; assert main({list(map(str, arguments))}) == 0"
    return _imported(call, folder)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "edges").mkdir()
    Image.new("RGB", (24, 16)).save(tmp_path / "photos/1.png")
    Image.new("L", (24, 16)).save(tmp_path / "edges/1.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["refine", "--help"],
        ["segment", "--help"],
        ["backbones"],
        ["edges", "photos"],  # without --out
        ["edges", "photos", "--out", "out", "--tile", "x"],
        ["edgse"],
    ],
    ids=" ".join,
)
def test_help_lists_and_usage_errors_need_no_torch(arguments):
    imported = _imported(f"from trace_mm.cli import main; main({arguments})")
    assert "trace_mm.cli" in imported
    assert not imported & {"torch", *HEAVY}


def test_rooms_that_need_no_torch():
    """docs/architecture.md: all modules of the command line, of long runs and of files."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ("commands", "runs", "files")
        for path in sorted((ROOT / "trace_mm" / room).rglob("*.py"))
    ]
    imported = _imported(f"import {', '.join(names)}")
    assert {*names} <= imported and {"trace_mm.runs.engine", "trace_mm.commands.edges"} <= imported
    assert not imported & {"torch", *HEAVY}


def test_the_api_imports_neither_training_nor_models():
    assert "torch" not in _imported("import trace_mm.apis")
    everything = _imported("from trace_mm.apis import *")
    assert "trace_mm.apis.inferencer" in everything and "torch" in everything
    assert not everything & HEAVY


def test_edges_of_gradients(photos, tmp_path):
    config = tmp_path / "sobel.py"
    config.write_text("model = dict(type='SobelDetector')")
    imported = _run("edges", photos, "--out", tmp_path / "out", "--model", config)
    assert (tmp_path / "out/edges/1.png").is_file()
    assert not imported & HEAVY


def test_a_student_needs_no_training(photos, tmp_path):
    imported = _run("edges", photos, "--out", tmp_path / "out", "--device", "cpu")
    assert (tmp_path / "out/edges/1.png").is_file()
    assert "diffusers" in imported and not imported & {*TRAINING, "transformers.trainer"}


RERUNS = {
    "edges": "edges photos --out out",
    "edges of a teacher": "edges photos --out out --method teacher",
    "edges of a config": "edges photos --out out --model sobel.py",
    "segment": "segment photos --out out --model sobel.py --refine",
    "segment, by features": "segment photos --out out --generator tokencut --size 64",
    "refine": "refine --masks masks --images photos --out out.json --model sobel.py",
    "panoptic": "panoptic --images photos --semantic masks --classes voc2012 --out out "
    "--model sobel.py",
}


@pytest.mark.parametrize("command", RERUNS.values(), ids=RERUNS)
def test_where_nothing_is_to_be_done_torch_is_not_imported(command, photos, tmp_path, monkeypatch):
    (tmp_path / "masks").mkdir()
    Image.new("L", (24, 16), 1).save(tmp_path / "masks/1.png")
    (tmp_path / "sobel.py").write_text("model = dict(type='SobelDetector')")
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 0
    again = _run(*command.split(), folder=tmp_path)
    assert "trace_mm.runs.engine" in again
    assert not again & {"torch", *HEAVY}


def test_a_model_is_described_without_what_builds_it():
    code = (
        "from trace_mm.jobs.edge_sources import EdgeModel as M; "
        "from trace_mm.models.model_config import model_config as c; "
        "print(M(c(None).model, 'cpu').settings(), M(c(None, 'teacher', backbone='trace-tiny')"
        ".model, 'cpu').settings())"
    )
    imported = _imported(code)
    assert "trace_mm.models.identity" in imported and not imported & HEAVY


def test_refinement_by_stored_edges(photos, tmp_path):
    (tmp_path / "masks").mkdir()
    mask = np.zeros((16, 24), np.uint8)
    mask[4:12, 4:12] = 1
    Image.fromarray(mask).save(tmp_path / "masks/1.png")
    files = {"--masks": "masks", "--images": "photos", "--edges": "edges", "--out": "out.json"}
    options = [text for name, file in files.items() for text in (name, tmp_path / file)]
    imported = _run("refine", *options)
    assert (tmp_path / "out.json").is_file()
    assert not imported & HEAVY


def test_segments_of_stored_edges(photos, tmp_path):
    options = ["--edges", tmp_path / "edges", "--out", tmp_path / "out", "--format", "yolo"]
    imported = _run("segment", photos, *options)
    assert (tmp_path / "out/yolo/data.yaml").is_file()
    assert not imported & HEAVY


def test_conversion(photos, tmp_path):
    (tmp_path / "masks").mkdir()
    mask = np.zeros((16, 24), np.uint8)
    mask[4:12, 4:12] = 1
    Image.fromarray(mask).save(tmp_path / "masks/1.png")
    options = ["--images", photos, "--out", tmp_path / "out", "--format", "coco", "yolo", "cvat"]
    imported = _run("convert", tmp_path / "masks", *options)
    assert (tmp_path / "out/cvat/annotations.xml").is_file()
    assert not imported & {"torch", *HEAVY}


def test_panoptic_labels_by_stored_edges(photos, tmp_path):
    (tmp_path / "semantic").mkdir()
    Image.new("L", (24, 16), 1).save(tmp_path / "semantic/1.png")
    files = {"--images": "photos", "--semantic": "semantic", "--edges": "edges", "--out": "out"}
    options = [text for name, file in files.items() for text in (name, tmp_path / file)]
    imported = _run("panoptic", "--classes", "voc2012", *options)
    assert (tmp_path / "out/panoptic.json").is_file()
    assert not imported & HEAVY


def test_registries_import_what_they_are_asked_for():
    found = {
        "MODELS": ["TraceStudent", "MaskRefiner"],
        "DATASETS": ["SourceMaskDataset"],
        "METRICS": ["InstanceEdgeMetric"],
        "TASK_UTILS": ["PanopticLabeler"],
        "INFERENCERS": ["TraceInferencer"],
    }
    calls = [f"registry.{r}.get({n!r}).__name__" for r, names in found.items() for n in names]
    imported = _imported(f"from trace_mm import registry; print({', '.join(calls)})")
    assert not imported & HEAVY


def test_lazy_names_are_those_of_the_package():
    for name in trace_mm.apis.__all__:
        assert getattr(trace_mm.apis, name).__name__ == name
    with pytest.raises(AttributeError, match=r"module 'trace_mm.apis' has no attribute 'nothing'"):
        trace_mm.apis.nothing  # noqa: B018


def _run_tool(name, *arguments):
    """What a script imports, which must not fail."""
    call = f"import runpy; sys.argv = {[name, *map(str, arguments)]}"
    return _imported(f"{call}; runpy.run_path({name!r}, run_name='__main__')")


@pytest.mark.parametrize("name", ["cache_pseudo_edges", "refine_masks", "make_pseudo_panoptic"])
def test_a_config_with_nothing_to_do_is_read_without_what_trains(name, photos, tmp_path):
    """A rerun needs the settings of the run and no model."""
    (tmp_path / "semantic").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("L", (24, 16), 1).save(tmp_path / "semantic/1.png")
    Image.new("L", (24, 16), 255).save(tmp_path / "masks/1.png")
    images = {"images": [{"id": 1, "file_name": "1.png"}]}
    (tmp_path / "images.json").write_text(json.dumps(images))
    config = tmp_path / "config.py"
    config.write_text(CONFIGS[name].format(folder=tmp_path.as_posix()))
    out = [] if name == "cache_pseudo_edges" else ["--out", tmp_path / name]
    given = [f"tools/{name}.py", config, "--device", "cpu", *out]
    given += ["--cfg-options", f"root={photos.as_posix()}"]
    _run_tool(*given)
    imported = _run_tool(*given)
    assert "trace_mm.runs.engine" in imported
    assert not imported & HEAVY


def test_all_hooks_are_found_by_their_names():
    hooks = [name for name in trace_mm.engine.__all__ if name.endswith("Hook")]
    assert len(hooks) > 5
    _imported(f"from trace_mm.registry import HOOKS; assert all(map(HOOKS.get, {hooks}))")
    _imported(
        "from trace_mm.registry import OPTIM_WRAPPERS as o; assert o.get('AutocastOptimWrapper')"
    )


def test_a_function_is_not_hidden_by_the_module_of_its_name():
    code = (
        "import trace_mm.ops.divergence, trace_mm.ops.region_graph, trace_mm.generators.maskcut\n"
        "from trace_mm.generators import maskcut\n"
        "from trace_mm.ops import divergence, region_graph\n"
        "assert all(map(callable, (divergence, region_graph, maskcut)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
