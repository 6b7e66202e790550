"""Old names of modules: one line that says the new one."""

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from trace_mm.apis.moved import MOVED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_says_the_new_one(old):
    assert old.startswith("trace_mm.apis.")  # importing trace_mm.apis is what watches them
    with pytest.raises(ImportError) as error:
        importlib.import_module(old)
    assert str(error.value) == f"{old} is now {MOVED[old]}"
    assert find_spec(MOVED[old]) is not None
    assert MOVED[old] not in MOVED


@pytest.mark.parametrize(
    "code",
    [
        "import trace_mm.apis.export",
        "from trace_mm.apis.export import export_student",
        "from trace_mm.apis import export",
    ],
)
def test_all_ways_to_import_a_moved_module(code):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "ImportError: trace_mm.apis.export is now trace_mm.publish.export"


def test_other_missing_names_are_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'trace_mm.apis.nothing'"):
        importlib.import_module("trace_mm.apis.nothing")
    with pytest.raises(ImportError, match=r"cannot import name 'nothing' from 'trace_mm.apis'"):
        from trace_mm.apis import nothing  # noqa: F401
