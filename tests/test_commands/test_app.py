"""``trace-mm app`` before it serves anything."""

import importlib.util
import os

import pytest

from trace_mm import cli
from trace_mm.app.environment import prepare


@pytest.fixture
def no_gradio(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "trace_mm.app.environment.find_spec",
        lambda name: None if name == "gradio" else find(name),
    )


def test_without_gradio_it_says_what_to_install(no_gradio, capsys):
    assert cli.main(["app"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "trace-mm: error: trace-mm app needs Gradio 6: pip install 'gradio>=6,<7'\n"
    )


@pytest.mark.parametrize("words", [["--max-pixels", "0"], ["--max-megabytes", "x"]])
def test_limits_are_positive_numbers(words):
    with pytest.raises(SystemExit):
        cli._build_parser().parse_args(["app", *words])


def test_it_is_for_this_machine_alone_by_default():
    assert cli._build_parser().parse_args(["app"]).host == "127.0.0.1"


def test_telemetry_is_off_and_files_have_their_folder(tmp_path, monkeypatch):
    names = ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_TEMP_DIR")
    for name in (*names, "DO_NOT_TRACK", "MPLBACKEND"):
        monkeypatch.setenv(name, "before")  # and put back by the end
    prepare(tmp_path)
    assert [os.environ[name] for name in names] == ["False", "1", str(tmp_path)]
