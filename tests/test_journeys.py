"""docs/architecture.md: what the journeys name is what a command really runs."""

import inspect
import pydoc
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trace_mm.cli import main

PAGE = Path(__file__).parents[1] / "docs/architecture.md"
TITLES = {
    "edges": "Photo to edges",
    "segment": "Photo to masks",
    "refine": "Mask to refined mask",
    "panoptic": "Semantic map to panoptic label",
}


def _names(job):
    """The modules, classes and functions that a journey names, without ``trace_mm.``."""
    text = PAGE.read_text(encoding="utf-8").partition(f"### {TITLES[job]}\n")[2].partition("###")[0]
    found = re.findall(r"`([a-z]\w*(?:\.\w+)+)`", text)
    return sorted({name for name in found if not name.endswith(".json")})


def _run(*arguments):
    """The code objects of the functions that a command calls, none of them in threads."""
    called = set()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code) if event == "call" else None)
    try:
        assert main([*map(str, arguments), "--quiet"]) == 0
    finally:
        sys.setprofile(None)
    return called


def _ran(name, called):
    """Whether a function, or one of a class or module, is among those that were called."""
    named = pydoc.locate(f"trace_mm.{name}")
    assert named is not None, f"there is no trace_mm.{name}"
    if inspect.ismodule(named):
        start = named.__file__.removesuffix("__init__.py")
        return any(code.co_filename.startswith(start) for code in called)
    if inspect.isclass(named):
        methods = {code for code in called if code.co_qualname.startswith(f"{named.__name__}.")}
        return any(code.co_filename == inspect.getfile(named) for code in methods)
    return inspect.unwrap(named).__code__ in called


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photos of two touching squares, their masks and class maps, and edges between them."""
    folder = tmp_path_factory.mktemp("data")
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    squares = np.zeros((48, 64), dtype=np.uint8)
    squares[8:40, 8:56] = 1
    edges = np.zeros((48, 64), dtype=np.uint8)
    edges[8:40, 31:33] = 255
    files = {"photos": photo, "masks": squares * 255, "maps": squares, "edges": edges}
    for name, pixels in files.items():
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "1.png")
    return folder


@pytest.mark.parametrize("job", TITLES)
def test_a_journey_names_what_runs(job, data, tmp_path):
    photos = data / "photos"
    if job == "edges":
        models = (["--method", "student"], ["--method", "teacher"])
        called = set()
        for number, model in enumerate(models):
            out = tmp_path / str(number)
            called |= _run("edges", photos, "--out", out, "--device", "cpu", *model)
    elif job == "segment":
        called = _run("segment", photos, "--out", tmp_path / "out", "--edges", data / "edges")
    elif job == "refine":
        options = ["--masks", data / "masks", "--edges", data / "edges"]
        called = _run("refine", "--images", photos, "--out", tmp_path / "refined.json", *options)
    else:
        options = ["--semantic", data / "maps", "--classes", "voc2012", "--edges", data / "edges"]
        called = _run("panoptic", "--images", photos, "--out", tmp_path / "out", *options)
    names = _names(job)
    assert f"commands.{job}" in names and len(names) >= 7
    assert [name for name in names if not _ran(name, called)] == []
