"""What must hold for the project as a whole: versions, dependencies, layers, file lengths."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import trace_mm

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "trace_mm"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
DISTRIBUTION_OF = {"PIL": "pillow", "cv2": "opencv-python-headless", "mmengine": "onedl-mmengine"}
OPTIONAL = {"aiohttp", "gradio", "mmdet", "mmcv", "peft", "ray", "pillow_heif", "timm", "triton"}


def _imports(path):
    """Absolute names of the modules that a file imports anywhere."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*parts, *filter(None, [node.module])])
            # "from trace_mm import ops" imports trace_mm.ops.
            if base == "trace_mm":
                yield from (f"trace_mm.{alias.name}" for alias in node.names)
            else:
                yield base


def _part(path):
    """The room or module of the package that a file belongs to."""
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    return "cli" if part == "__main__" else part  # two ways to start the same


def _layers():
    """The layer of each room, as docs/architecture.md has it."""
    return {room: int(layer) for layer, room, _ in _rows()}


def _allowed():
    """What each room may import, as docs/architecture.md has it."""
    layers = _layers()
    lower = {room: {one for one in layers if layers[one] < layers[room]} for room in layers}
    texts = {room: text for _, room, text in _rows()}
    return {
        room: lower[room]
        if text == "lower layers"
        else set()
        if text == "nothing"
        else set(re.findall(r"`(\w+)`", text))
        for room, text in texts.items()
    }


def _rows():
    table = ARCHITECTURE.partition("<!-- rooms -->")[2].partition("\n\n")[0]
    return re.findall(r"^\| (\d+) \| `(\w+)` \|.*\| ([^|]+) \|$", table, flags=re.M)


def _shared():
    """Small modules beside the rooms, which import nothing of ours."""
    line = ARCHITECTURE.partition("<!-- shared -->")[2].partition("\n\n")[0]
    return set(re.findall(r"`(\w+)`", line))


LAYERS, ALLOWED, SHARED = _layers(), _allowed(), _shared()


def test_version_is_the_same_everywhere():
    assert re.fullmatch(r"\d+\.\d+\.\d+", trace_mm.__version__)
    assert f"\nversion: {trace_mm.__version__}\n" in (ROOT / "CITATION.cff").read_text(
        encoding="utf-8"
    )
    try:
        installed = importlib.metadata.version("trace_mm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("trace_mm runs from a checkout that is not installed")
    assert installed == trace_mm.__version__


def test_type_checkers_see_our_types():
    assert (PACKAGE / "py.typed").read_bytes() == b""  # PEP 561


def test_import_is_light():
    code = "import sys, trace_mm; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "trace_mm" in output.split()
    heavy = {"torch", "numpy", "cv2", "diffusers", "transformers", "mmengine", "mmdet", "mmcv"}
    assert not heavy & set(output.split())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    assert _forbidden(path) == []


def _forbidden(path):
    """The imports of ours that a file may not have, each with the reason."""
    part, file = _part(path), path.relative_to(PACKAGE)
    if part == "__init__":
        handed_on = {"typing", "trace_mm.lazy", "trace_mm.apis.functions"}  # at their first use
        strange = [name for name in _imports(path) if name not in handed_on]
        return [f"trace_mm/{file} imports {name}: it imports nothing" for name in strange]
    if part not in LAYERS and part not in SHARED:
        return [f"trace_mm/{file}: {part} is no room of docs/architecture.md"]
    if part == "ops" or part in SHARED:
        allowed, rule = {"lazy"}, f"{part} imports nothing of ours but lazy"
    else:
        allowed = ALLOWED[part] | SHARED
        rule = f"{part} (layer {LAYERS[part]}) may import {', '.join(sorted(ALLOWED[part]))}"
    found = []
    for name in _imports(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == "trace_mm" and other not in {part, "__version__", *allowed}:
            found.append(f"trace_mm/{file} imports {name}: {rule}")
    return found


def test_the_rooms_are_those_of_the_architecture():
    parts = {_part(path) for path in MODULES} - {"__init__"}
    assert parts == {*LAYERS, *SHARED}
    assert not SHARED & set(LAYERS)
    for room, allowed in ALLOWED.items():
        assert all(LAYERS[one] < LAYERS[room] for one in allowed), room
    assert ALLOWED["cli"] == set(LAYERS) - {"cli"} and ALLOWED["ops"] == set()


def test_a_forbidden_import_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "trace_mm")
    for room in ("ops", "jobs", "strange"):
        (tmp_path / "trace_mm" / room).mkdir(parents=True)
        path = tmp_path / "trace_mm" / room / "new.py"
        path.write_text("from trace_mm import console\nfrom trace_mm.apis.inputs import read\n")
    paths = {path.parent.name: path for path in (tmp_path / "trace_mm").glob("*/new.py")}
    assert _forbidden(paths["ops"]) == [
        "trace_mm/ops/new.py imports trace_mm.console: ops imports nothing of ours but lazy",
        "trace_mm/ops/new.py imports trace_mm.apis.inputs: ops imports nothing of ours but lazy",
    ]
    (line,) = _forbidden(paths["jobs"])
    assert line.startswith("trace_mm/jobs/new.py imports trace_mm.apis.inputs: jobs (layer 8) may")
    (line,) = _forbidden(paths["strange"])
    assert line == "trace_mm/strange/new.py: strange is no room of docs/architecture.md"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_declared(path):
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    for name in _imports(path):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == "trace_mm":
            continue
        if _part(path) == "ops":
            assert top in {"torch", "numpy", "scipy", "cv2"}, f"ops imports {top}"
        distribution = canonicalize_name(DISTRIBUTION_OF.get(top, top))
        assert distribution in declared or top in OPTIONAL, f"{top} is not a declared dependency"
        assert top != "torchvision"
        assert top != "timm" or _part(path) == "vision"


def _pins(file):
    """Versions by name of a file of constraints."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_lowest_versions_are_those_of_the_project():
    """constraints-lowest.txt, with which docs/install.md says what was tried."""
    pins = _pins("constraints-lowest.txt")
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["train"]]:
        requirement = Requirement(line)
        (least,) = [one.version for one in requirement.specifier if one.operator == ">="]
        pinned = pins.pop(canonicalize_name(requirement.name))
        parts = Version(least).release
        assert Version(pinned).release[: len(parts)] == parts, f"{requirement}: {pinned} was tried"
        assert not any(Version(pinned).release[len(parts) : 3]), f"{requirement} is lower"
    assert pins == {}


def test_constraints_pin_every_dependency_within_its_range():
    pins = _pins("constraints.txt")
    extras = PROJECT["optional-dependencies"]
    for line in [
        *PROJECT["dependencies"],
        *extras["train"],
        *extras["test"],
        *extras["app"],
        *extras["vision"],
        *extras["s3"],
    ]:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == "trace-mm":  # one extra that holds another
            continue
        version = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} excludes the tested {version}"


def test_entry_point_names_a_function():
    module, _, function = PROJECT["scripts"]["trace-mm"].partition(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_all_configs(wheel):
    files = (path for path in (ROOT / "configs").rglob("*") if path.suffix in (".py", ".yml"))
    wanted = {f"trace_mm/{path.relative_to(ROOT).as_posix()}" for path in files}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.startswith("trace_mm/configs/")} == wanted
    assert {name.partition("/")[0] for name in names} == {
        "trace_mm",
        f"trace_mm-{trace_mm.__version__}.dist-info",
    }


def test_configs_of_an_installed_package(wheel, tmp_path):
    """They are found by their names, and their bases and those of a user beside them."""
    archive = zipfile.ZipFile(wheel)
    code = [name for name in archive.namelist() if name.endswith(".py")]
    archive.extractall(tmp_path / "site", code)
    (tmp_path / "mine.py").write_text('_base_ = "trace_mm::sobel_scenes.py"\nmodel = dict(sigma=2)')
    script = """
from trace_mm.files.shipped_configs import find_config, read_config_file
print(find_config("trace_trace-tiny_lora64_folder"))
print(read_config_file(find_config("trace_trace-tiny_lora64_folder")).train_cfg.max_iters > 0)
print(dict(read_config_file("mine.py").model))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        str(tmp_path / "site/trace_mm/configs/trace/trace_trace-tiny_lora64_folder.py"),
        "True",
        "{'type': 'SobelDetector', 'sigma': 2}",
    ]


def test_files_stay_short():
    folders = ["trace_mm", "tests", "tools", "projects", "configs"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}
