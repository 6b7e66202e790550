"""The ``trace-mm`` command as a whole."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

import trace_mm
from trace_mm import cli, commands
from trace_mm.cli import main

ROOT = Path(__file__).parents[1]


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"trace-mm {trace_mm.__version__}\n"


def test_help_loads_nothing_heavy():
    code = "import sys; from trace_mm.cli import _build_parser; _build_parser().format_help(); "
    code += "print('torch' in sys.modules or 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "False\n"


def test_each_subcommand_has_a_file_of_its_own_name():
    (choices,) = (
        action.choices
        for action in cli._build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    modules = [module.__name__.rpartition(".")[2] for module in cli.SUBCOMMANDS]
    assert list(choices) == modules
    assert set(modules) == {
        path.stem
        for path in Path(commands.__file__).parent.glob("*.py")
        if "def add_subcommand(" in path.read_text(encoding="utf-8")
    }
