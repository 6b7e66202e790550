"""What must hold for the project as a whole: versions, dependencies, layers, file lengths."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import trace_mm

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "trace_mm"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# From the bottom up. A part imports from itself and from lower rows.
LAYERS = [
    {"ops", "files", "attention"},
    {"diffusion", "vision", "refine"},
    {"models"},
    {"datasets", "evaluation", "panoptic", "visualization"},
    {"engine", "mask2former"},
    {"jobs", "publish"},
    {"apis"},
    {"demo"},
    {"commands"},
    {"cli", "__main__"},
]
# Belong to no layer: small modules that import nothing of ours.
SHARED = {
    "catalogue",
    "console",
    "lazy",
    "plugins",
    "registry",
    "runner_model",
    "short_repr",
    "structures",
}
DISTRIBUTION_OF = {"PIL": "pillow", "cv2": "opencv-python-headless", "mmengine": "onedl-mmengine"}
OPTIONAL = {"mmdet", "mmcv", "peft", "pillow_heif", "timm", "triton"}


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


def _layer(part):
    return next((level for level, parts in enumerate(LAYERS) if part in parts), None)


def _part(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


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
    part = _part(path)
    if part == "__init__":
        assert not list(_imports(path))
        return
    assert part in SHARED or _layer(part) is not None, f"{part} stands in no layer"
    for name in _imports(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top != "trace_mm" or other in {part, "__version__"}:
            continue
        assert part not in SHARED, f"{part} imports {name}"
        if part == "ops":
            raise AssertionError(f"ops imports {name}")
        if other not in SHARED:
            assert _layer(other) is not None, f"{name} stands in no layer"
            assert _layer(other) < _layer(part), f"{part} imports {name}, which is not below it"


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


def test_constraints_pin_every_dependency_within_its_range():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[canonicalize_name(name)] = version
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *extras["train"], *extras["test"], *extras["vision"]]:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == "trace-mm":  # one extra that holds another
            continue
        version = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} excludes the tested {version}"


def test_entry_point_names_a_function():
    module, _, function = PROJECT["scripts"]["trace-mm"].partition(":")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_files_stay_short():
    folders = ["trace_mm", "tests", "tools", "projects", "configs"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}
