"""``trace-mm edges``: what it writes, says and returns."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny_towers import save_clip
from trace_mm.cli import main

ROOT = Path(__file__).parents[2]


def _edges(*arguments):
    return main(["edges", *map(str, arguments)])


def _complaint(capsys):
    """What is said of bad input: one line, after what is being loaded if it comes to that."""
    captured = capsys.readouterr()
    assert captured.out == ""
    *before, line = captured.err.splitlines()
    assert not before or (len(before) == 1 and re.fullmatch("note: loading .* ...", before[0]))
    return line


def test_edges_of_a_folder(photos, sobel, tmp_path, capsys):
    out = tmp_path / "out"
    assert _edges(photos, "--out", out, "--model", sobel) == 0
    assert capsys.readouterr().out == f"4 done, 0 were done before, 0 failed: {out}\n"
    assert Image.open(out / "edges/sub/1.png").size == (20, 16)
    assert _edges(photos, "--out", out, "--model", sobel) == 0
    assert capsys.readouterr().out.startswith("0 done, 4 were done before")


def test_options_reach_the_model(photos, flow_folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = [
        "--method",
        "teacher",
        "--timestep",
        300,
        "--seed",
        5,
        "--noise-draws",
        2,
        "--size",
        32,
        "--tile",
        8,
    ]
    options += ["--dtype", "bfloat16", "--device", "cpu", "--batch-size", 3]
    options += ["--save", "png", "npz", "overlay"]
    assert _edges(photos, "--out", out, "--model", flow_folder, *options) == 0
    capsys.readouterr()
    assert _edges(photos, "--out", out, "--model", flow_folder, *options, "--seed", 6) == 2
    with np.load(out / "npz/0.npz") as saved:
        assert saved["timestep"] == 300
    settings = (out / "manifest.jsonl").read_text().splitlines()[0]
    for part in ('"seed": 5', '"noise_draws": 2', '"size": 32', '"tile": 8', "bfloat16"):
        assert part in settings


def test_edges_of_a_backbone(photos, sd15_folder, tmp_path, capsys):
    config = tmp_path / "teacher.py"
    config.write_text(
        f"model = dict(type='TraceTeacher', backbone=dict(pretrained={str(sd15_folder)!r}))"
    )
    tower = save_clip(tmp_path / "clip")
    for number, backbone in enumerate([sd15_folder, config, tower]):
        assert _edges(photos, "--out", tmp_path / str(number), "--backbone", backbone) == 0
        assert len(list((tmp_path / str(number)).rglob("*.png"))) == 4
    same = [(tmp_path / f"{number}/edges/0.png").read_bytes() for number in range(3)]
    assert same[0] == same[1] != same[2]
    assert _edges(photos, "--out", tmp_path / "3", "--backbone", tower, "--timestep", 100) == 2
    assert "clip has no timesteps" in capsys.readouterr().err


def test_a_missing_package_is_one_line(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert _edges(photos, "--out", tmp_path / "out", "--backbone", "timm:vit") == 2
    assert re.fullmatch(r"trace-mm: error: .*needs timm: pip install.*", _complaint(capsys))


def test_what_is_passed_over_and_loaded_is_told(photos, sobel, tmp_path, capsys):
    (photos / "list.txt").touch()
    assert _edges(photos, "--out", tmp_path / "out", "--model", sobel) == 0
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == f"note: {photos}: 1 file not named like images passed over (1 .txt)"
    assert second == f"note: loading {sobel} ..."


def test_a_model_is_said_to_be_loaded_where_it_is(photos, sobel, tmp_path, capsys):
    given = [photos, "--model", sobel, "--out", tmp_path / "out"]
    assert _edges(*given, "--workers", 2) == 0
    assert capsys.readouterr().err.count("note: loading") == 1
    assert _edges(*given) == 0
    assert _edges(*given, "--save", "overlay") == 0  # of the edges that are there
    assert "loading" not in capsys.readouterr().err


def test_bad_images_are_listed(photos, sobel, tmp_path, capsys):
    (photos / "bad.png").write_bytes(b"broken")
    assert _edges(photos, "--out", tmp_path / "out", "--model", sobel) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("4 done, 0 were done before, 1 failed")
    assert f"{photos / 'bad.png'}: not an image" in captured.err.splitlines()[-1]


def test_results_inside_the_input_folder_are_not_inputs(photos, sobel, capsys):
    assert _edges(photos, "--out", photos, "--model", sobel) == 0
    assert _edges(photos, "--out", photos, "--model", sobel) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("0 done, 4 were done before")


@pytest.mark.parametrize(
    "arguments",
    [
        ["{photos}/gone.png", "--model", "{sobel}"],
        ["{photos}/sub/*.gif", "--model", "{sobel}"],
        ["{photos}", "--model", "no-such-model"],
        ["{photos}", "--model", "{sobel}", "--seed", "1"],
        ["{photos}", "--model", "{sobel}", "--method", "student"],
        ["{photos}", "--model", "{sobel}", "--device", "tpu9"],
    ],
)
def test_bad_input_is_one_line_on_stderr(photos, sobel, tmp_path, capsys, arguments):
    arguments = [text.format(photos=photos, sobel=sobel) for text in arguments]
    assert _edges(*arguments, "--out", tmp_path / "out") == 2
    assert re.fullmatch(r"trace-mm: error: .+", _complaint(capsys))


def test_an_option_that_the_model_has_not(photos, sobel, tmp_path, capsys):
    assert _edges(photos, "--out", tmp_path / "out", "--model", sobel, "--tile") == 2
    assert "SobelDetector has no option tile" in _complaint(capsys)


@pytest.mark.parametrize("option", ["--batch-size=0", "--timestep=x", "--seed=-1", "--tile=0"])
def test_usage_errors(photos, capsys, option):
    with pytest.raises(SystemExit) as stop:
        _edges(photos, "--out", "out", option)
    assert stop.value.code == 2
    assert "must be an integer" in capsys.readouterr().err


def test_unwritable_output(photos, sobel, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert _edges(photos, "--out", tmp_path / "file", "--model", sobel) == 1
    assert "file" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_command_resumes(photos, sobel, tmp_path):
    """The real command in a real process; tests/test_apis/test_folder_run.py kills more often."""
    for copy in range(200):
        shutil.copy(photos / "0.png", photos / f"copy{copy}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trace_mm.cli", "edges", photos, "--out", out]
    process = subprocess.Popen(
        [*map(str, command), "--model", sobel],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and len(list(out.rglob("*.png"))) < 20:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(out.rglob("*.png")))
    assert _edges(photos, "--out", out, "--model", sobel) == 0
    assert _edges(photos, "--out", tmp_path / "undisturbed", "--model", sobel) == 0
    assert 20 <= done <= 204
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "undisturbed")
        for p in (tmp_path / "undisturbed").rglob("*")
        if p.is_file()
    )
    for file in files:
        assert (out / file).read_bytes() == (tmp_path / "undisturbed" / file).read_bytes()


def test_a_folder_whose_name_cannot_be_printed(photos, sobel, tmp_path):
    out = os.fsencode(tmp_path) + b"/\xff"
    command = [
        sys.executable,
        "-m",
        "trace_mm.cli",
        "edges",
        photos,
        "--model",
        sobel,
        "--out",
        out,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"4 done") and b"\\udcff" in done.stdout
