"""The Dockerfiles: good manners, and that what they name is there. CI executes their steps."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.fixture(scope="module")
def steps():
    spec = importlib.util.spec_from_file_location("steps", ROOT / ".ci" / "dockerfile_steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_two():
    assert [path.name for path in FILES] == ["cpu.Dockerfile", "cuda-mmdet.Dockerfile"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_good_manners(path, steps):
    found = steps.instructions(path.read_text())
    keywords = [keyword for keyword, _ in found]
    values = dict(found)
    assert re.search(r":[\w.-]*\d", values["FROM"]) and "latest" not in values["FROM"]  # pinned
    assert keywords.count("ENTRYPOINT") == keywords.count("CMD") == 1
    assert values["ENTRYPOINT"].startswith("[") and values["CMD"].startswith("[")
    assert values["USER"] == "user" and keywords.index("USER") > keywords.index("RUN")
    assert "PIP_NO_CACHE_DIR=1" in path.read_text()
    runs = [rest for keyword, rest in found if keyword == "RUN"]
    for run in runs:
        if "apt-get install" in run:
            assert "--no-install-recommends" in run and "rm -rf /var/lib/apt/lists/*" in run
        if "dnf install" in run:
            assert "install_weak_deps=False" in run and "dnf clean all" in run
        assert "sudo" not in run and " cd " not in run


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_copied_and_installed_is_there(path, steps):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"].keys()
    let_in = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for keyword, rest in steps.instructions(path.read_text()):
        if keyword == "COPY":
            sources = rest.split()[:-1]
            assert all((ROOT / name).exists() for name in sources) and set(sources) <= let_in
        for names in re.findall(r"\.\[([\w,]+)\]", rest):
            assert set(names.split(",")) <= set(extras)


def test_mmcv_is_the_one_of_the_constraints():
    pins = (ROOT / "constraints-mmdet.txt").read_text()
    text = (ROOT / "docker" / "cuda-mmdet.Dockerfile").read_text()
    (version,) = re.findall(r"^onedl-mmcv==(\S+)$", pins, re.MULTILINE)
    assert f"onedl-mmcv=={version}" in text and f"onedl_mmcv-{version}-" in text


def test_steps_become_a_script(steps, tmp_path):
    text = """FROM base:1
ARG NAME="a b"
ENV X=/cache/x Y=1
WORKDIR /opt/it
COPY one two ./
RUN apt-get update \\
    && pip install "$NAME"
ENTRYPOINT ["run"]
CMD ["--help"]
"""
    root = tmp_path / "root"
    assert steps.script(text, Path("/src"), root)[3:] == [
        "NAME=${NAME:-a b}",
        f"export X={root}/cache/x",
        "export Y=1",
        f"mkdir -p {root}/opt/it",
        f"cd {root}/opt/it",
        "cp -r /src/one /src/two ./",
        "echo + 'pip install \"$NAME\"'",
        'pip install "$NAME"',
        "entrypoint='run'",
        "cmd='--help'",
        "$entrypoint $cmd",
    ]


def test_conda_s_environment_installs_what_there_is():
    content = yaml.safe_load((ROOT / "environment.yml").read_text())
    *_, pip = content["dependencies"]
    assert pip["pip"] == ["--constraint constraints.txt", ".[train,heif,s3]"]
    assert "python=3.11" in content["dependencies"]
