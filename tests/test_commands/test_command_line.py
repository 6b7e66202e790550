"""What command lines say of misspelt words and bad input, and how they end."""

import subprocess
import sys
from pathlib import Path

import pytest

from trace_mm.cli import main
from trace_mm.commands.command_line import Parser, run_command

ROOT = Path(__file__).parents[2]


def _raise(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("two\nlines"), 2, "two lines"),
        (FileNotFoundError("gone.png: no such file"), 2, "gone.png"),
        (ImportError("needs peft"), 2, "needs peft"),
        (OSError("cannot write"), 1, "cannot write"),
        (RuntimeError("CUDA out of memory. Tried"), 1, "--batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "--tile"),
        (MemoryError(), 1, "--size"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_are_one_line(capsys, error, status, text):
    assert run_command(_raise(error), "tool") == status
    captured = capsys.readouterr()
    assert captured.err.startswith("tool: error: ") and captured.err.count("\n") == 1
    assert text in captured.err and captured.out == ""


def test_status_and_faults_of_the_program():
    assert run_command(lambda: None) == 0
    assert run_command(lambda: 1) == 1
    with pytest.raises(RuntimeError, match="bug"):
        run_command(_raise(RuntimeError("bug")))
    with pytest.raises(KeyError):
        run_command(_raise(KeyError("bug")))


def test_what_cannot_be_printed_is_escaped(tmp_path):
    code = "from trace_mm.commands.command_line import run_command; import sys; "
    code += r"sys.exit(run_command(lambda: print('done: \udcff')))"
    for encoding in ("utf-8", "ascii"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            cwd=ROOT,
            env={"PYTHONIOENCODING": encoding, "PATH": ""},
        )
        assert (result.returncode, result.stdout) == (0, b"done: \\udcff\n"), result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["edgse", "photo.jpg"], "did you mean edges?"),
        (["--versoin"], "did you mean --version?"),
        (["edges", "photo.jpg", "--uot", "x"], "unrecognized option --uot"),
        (["edges", "photo.jpg", "--out", "x", "--treshold", "1"], "unrecognized option --treshold"),
        (["refine", "--masks", "a", "--treshold=0.3"], "did you mean --threshold?"),
        (["panoptic", "--image", "a", "--semantics", "b"], "did you mean --semantic?"),
        (["edges", "photo.jpg", "--out", "x", "--save", "pgn"], "did you mean png?"),
        (["edges", "photo.jpg", "--out", "x", "--method", "techer"], "did you mean teacher?"),
    ],
)
def test_misspelt_words_get_a_hint(capsys, words, hint):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert hint in capsys.readouterr().err.splitlines()[-1]


def test_words_that_are_no_options():
    parser = Parser()
    parser.add_argument("--set", nargs="+")
    parser.add_argument("names", nargs="*")
    assert parser.parse_args(["--se", "a=--b", "c"]).set == ["a=--b", "c"]  # abbreviated
    assert parser.parse_args(["--", "--odd"]).names == ["--odd"]


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("tools/refine_masks.py", ["none.py", "--out", "x.json"]),
        ("tools/make_pseudo_panoptic.py", ["none.py", "--out", "x"]),
        ("tools/cache_pseudo_edges.py", ["none.py"]),
        ("tools/dataset_converters/coco.py", ["--annotations", "none.json", "--out", "x.json"]),
        ("tools/analysis_tools/panoptic_scores.py", ["none.json", "none.json"]),
        ("tools/analysis_tools/precision_recall.py", ["none.json", "--out", "x.png"]),
        ("tools/stack_pictures.py", ["out.png", "none.png"]),
        ("projects/mask_generators/generate.py", ["maskcut", "none", "--out", "x.json"]),
        ("projects/embedded_backbone/publish.py", ["none", "none.csv", "target"]),
    ],
)
def test_tools_end_in_one_line(tmp_path, tool, words):
    result = subprocess.run(
        [sys.executable, ROOT / tool, *words], capture_output=True, text=True, cwd=tmp_path
    )
    lines = [line for line in result.stderr.splitlines() if "Warning" not in line]
    assert result.returncode == 2, result.stderr
    assert lines[-1].startswith(f"{Path(tool).stem}: error: ") and "none" in lines[-1]
    assert "Traceback" not in result.stderr
