"""Experiments of tools/reproduce.py for tests: its modules, and its steps in this process."""

import contextlib
import importlib
import io
import runpy
import sys
from pathlib import Path
from unittest import mock

from trace_mm import cli

ROOT = Path(__file__).parents[1]
if str(ROOT / "tools") not in sys.path:
    sys.path.append(str(ROOT / "tools"))


def module(name):
    """A module of tools/reproduction."""
    return importlib.import_module(f"reproduction.{name}")


def planned(name, tmp_path, mini, **more):
    """An experiment by its name, as it would be run."""
    setting = module("experiment").Setting(tmp_path, tmp_path / "data", mini=mini, **more)
    return module("catalog").EXPERIMENTS[name](setting)


def trainings(one):
    """Commands that train something, by the names of their steps."""
    return {step.name: step.command for step in one.steps if step.name.startswith("train-")}


def settings(command):
    """Values of a command's ``--cfg-options``, as texts."""
    given = command[command.index("--cfg-options") + 1 :] if "--cfg-options" in command else ()
    return dict(one.split("=", 1) for one in given)


def run_here(step, log):
    """Run a step as the tool does, but in this process, where all is imported already.

    MMEngine writes each config as a text four times, and has yapf lay it out: most of a short
    step's time. The text is as good without.
    """
    first, *rest = step.command
    output = io.StringIO()
    plain = mock.patch("yapf.yapflib.yapf_api.FormatCode", lambda text, **_: (text, True))
    with plain, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = cli.main(rest) if first == "trace-mm" else _run_script(*rest)
    log.write_text(output.getvalue())
    assert status == 0 and step.makes.exists(), f"{step.command}\n{output.getvalue()[-3000:]}"
    return {"seconds": 1.0, "peak_memory_bytes": 10**9}


def _run_script(script, *arguments):
    argv, path = sys.argv, list(sys.path)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str((ROOT / script).parent))
    try:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    except SystemExit as stop:
        return stop.code or 0
    finally:
        sys.argv, sys.path[:] = argv, path
    return 0
