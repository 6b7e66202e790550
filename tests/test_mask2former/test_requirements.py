"""The one clear error where mmdet, mmcv or mmcv's operations are missing."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2]
CONFIG = "configs/mask2former/mask2former_r50_8xb2-lsj-24e_trace-dhr_voc2012-panoptic.py"


def pins(name: str) -> dict[str, str]:
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_both_environments_have_the_same_versions_but_of_torch():
    ours, light = pins("constraints-mmdet.txt"), pins("constraints.txt")
    different = {name for name in light if ours[name] != light[name]}
    assert different <= {"torch", "torchvision"}


def test_what_mmdet_imports_is_pinned_within_its_range():
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = content["optional-dependencies"]["mmdet"]
    ours = pins("constraints-mmdet.txt")
    for line in [*extra, *(line for line in content["dependencies"] if line.startswith("torch"))]:
        requirement = Requirement(line)
        assert ours[requirement.name] in requirement.specifier, line
        assert not requirement.name.startswith("opencv")


def test_docs_compile_the_pinned_mmcv():
    page = (PROJECT / "docs" / "install.md").read_text(encoding="utf-8")
    steps = page.partition("<!-- mask2former install -->")[2].split("```")[1]
    version = pins("constraints-mmdet.txt")["onedl-mmcv"]
    assert f"-w wheels onedl-mmcv=={version}\n" in steps
    assert f"wheels/onedl_mmcv-{version}-*.whl" in steps


def forget(name: str) -> str:
    """Code after which a module cannot be imported, as where it is not installed."""
    return f"import sys; sys.modules[{name!r}] = None"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["mmcv", "mmcv.ops", "mmdet"])
def test_import_says_what_to_install(name):
    if name == "mmcv.ops":
        pytest.importorskip("mmcv")
    if name == "mmdet":
        pytest.importorskip("mmcv.ops")
    done = run_python(f"{forget(name)}; import trace_mm.mask2former")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: mmcv" if "mmcv" in name else "ImportError: mmdet")
    assert "docs/install.md" in last
    assert "--no-build-isolation" in last
    assert ("compiled operations" in last.partition("(")[0]) == (name == "mmcv.ops")


def test_what_is_not_about_mask2former_needs_neither():
    done = run_python(
        f"{forget('mmcv')}; {forget('mmdet')}\n"
        "import trace_mm.registry, trace_mm.apis, trace_mm.engine\n"
        "assert trace_mm.registry.DATASETS.get('SceneEdgeDataset')"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tool", ["train.py", "test.py"])
def test_tools_say_it_too(tool):
    code = (
        f"{forget('mmcv')}; {forget('mmdet')}\nimport runpy\n"
        f"sys.argv = ['tools/{tool}', {CONFIG!r}]\n"
        f"runpy.run_path('tools/{tool}', run_name='__main__')"
    )
    done = run_python(code)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert "error: mmcv cannot be imported" in last
    assert "docs/install.md" in last


def test_nothing_is_said_where_all_is_there():
    pytest.importorskip("mmcv.ops")
    importlib.import_module("mmdet")
    importlib.import_module("trace_mm.mask2former").require_mmdet()
