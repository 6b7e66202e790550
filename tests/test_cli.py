"""The ``trace-mm`` command: what it writes, says and returns."""

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

import trace_mm
from tests.tiny_students import build, shake
from tests.tiny_towers import save_clip
from trace_mm.cli import main
from trace_mm.models import save_student

ROOT = Path(__file__).parents[1]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("sub" if index % 2 else "") / f"{index}.png")
    return folder


@pytest.fixture
def sobel(tmp_path):
    path = tmp_path / "sobel.py"
    path.write_text('model = dict(type="SobelDetector")\n')
    return str(path)


def _edges(*arguments):
    return main(["edges", *map(str, arguments)])


def _complaint(capsys):
    """What is said of bad input: one line, after what is being loaded if it comes to that."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1 or (len(lines) == 2 and re.fullmatch("note: loading .* ...", lines[0]))
    return lines[-1]


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
    assert _edges(photos, "--out", out, "--model", flow_folder, *options[:-4]) == 2
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


def test_export_and_edges_of_a_student(photos, flow_folder, tmp_path, capsys):
    checkpoint = save_student(shake(build(flow_folder)), tmp_path / "iter_1.pth")
    models = {"plain": ["--backbone", flow_folder], "merged": []}
    for name, backbone in models.items():
        merge = ["--merge"] if name == "merged" else []
        options = ["--backbone", flow_folder, "--dtype", "float16", "--license", "mit", *merge]
        folder = tmp_path / name
        assert main(["export", str(checkpoint), "--out", str(folder), *map(str, options)]) == 0
        assert capsys.readouterr().out.startswith(f"wrote {folder} (0.")
        assert 'license: "mit"' in (folder / "README.md").read_text()
        out = tmp_path / f"edges_{name}"
        arguments = [photos, "--out", out, "--method", "student", "--device", "cpu"]
        assert _edges(*arguments, "--model", folder, *backbone) == 0
        assert capsys.readouterr().out.startswith("4 done")
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "plain")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert _edges(*arguments, "--model", tmp_path / "plain", "--backbone", flow_folder) == 2
    error = capsys.readouterr().err
    assert "holds results of other settings" in error and "student.content" in error
    assert _edges(*arguments, "--model", folder, "--noise-draws", 2) == 2
    assert f"(--backbone {flow_folder.name}" in capsys.readouterr().err


def test_demo(flow_folder, photos, tmp_path, capsys):
    Image.new("RGB", (1, 300), (9, 99, 200)).save(photos / "thin.png")
    out = tmp_path / "demo"
    arguments = ["demo", photos, "--out", out, "--model", flow_folder, "--device", "cpu"]
    arguments += ["--method", "teacher"]
    assert main(list(map(str, arguments))) == 0
    assert capsys.readouterr().out == f"wrote {out / 'report.html'}\n"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<article") == 5
    assert page.count("<svg") == 5
    assert page.count("t* = ") >= 5
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|<script", page)
    assert page.count("<img") == page.count('alt="')
    assert (out / "edges/sub/1.png").is_file()
    assert (out / "overlay/thin.png").is_file()


def test_a_demo_does_not_read_what_it_wrote(photos, sobel, capsys):
    out = photos / "demo"
    for _ in range(2):
        assert main(["demo", str(photos), "--out", str(out), "--model", str(sobel), "--quiet"]) == 0
        assert capsys.readouterr().err == ""
        assert len(list((out / "edges").rglob("*.png"))) == 4


def test_demo_of_drawn_scenes(sobel, tmp_path):
    assert main(["demo", "--out", str(tmp_path), "--model", sobel]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("True borders of") == 6


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


def test_a_demo_does_not_read_its_own_output(photos, sobel, capsys):
    for _ in range(2):
        assert main(["demo", str(photos), "--out", str(photos / "demo"), "--model", sobel]) == 0
        page = (photos / "demo/report.html").read_text(encoding="utf-8")
        assert page.count("<article") == 4
    assert _edges(photos, "--out", photos / "demo2", "--model", sobel, "--tile") == 2
    assert "SobelDetector has no option tile" in capsys.readouterr().err


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
