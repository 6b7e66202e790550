"""Where commands run: the options, and that the files do not depend on them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trace_mm.cli import main
from trace_mm.commands import executors
from trace_mm.commands.command_line import Parser
from trace_mm.commands.executors import add_executor_arguments, build_executor
from trace_mm.runs.executors import LocalExecutor, RayExecutor

ROOT = Path(__file__).parents[2]


def _build(line):
    parser = Parser()
    parser.add_argument("--device")
    add_executor_arguments(parser)
    return build_executor(parser.parse_args(line.split()))


def _files(out):
    """What a run has written, without the hidden file of its lock."""
    return {
        path.relative_to(out): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize(
    ("line", "executor"),
    [
        ("", LocalExecutor()),
        ("--workers 2", LocalExecutor(2)),
        ("--devices 0,2", LocalExecutor(0, ("cuda:0", "cuda:2"))),
        ("--executor local --workers 4 --devices cuda:0", LocalExecutor(4, ("cuda:0",))),
    ],
)
def test_this_machine_is_the_usual_place(line, executor):
    assert _build(line) == executor


def test_a_ray_cluster_is_asked_for():
    pytest.importorskip("ray", reason="Ray is an extra")
    line = "--executor ray --workers 8 --ray-address head:6379 --gpus-per-worker 0.5"
    assert _build(line) == RayExecutor(8, "head:6379", 0.5)


def test_processes_of_a_launcher_are_found_by_themselves(monkeypatch):
    monkeypatch.setattr(executors, "is_launched", lambda: True)
    assert _build("") == _build("--executor torchrun") == LocalExecutor()
    with pytest.raises(ValueError, match="Ray starts the workers; start the command by itself"):
        _build("--executor ray --workers 2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--executor torchrun", "start it by torchrun --nproc-per-node 2 -m trace_mm"),
        ("--executor ray", "say how many --workers"),
        ("--executor ray --workers 2 --devices 0", "--devices has no effect with --executor ray"),
        ("--executor ray --gpus-per-worker 1 --device cpu", "Ray says which GPU a worker"),
        ("--ray-address auto", "--ray-address has no effect without --executor ray"),
        ("--workers 2 --gpus-per-worker 1", "--gpus-per-worker has no effect without"),
        ("--device cpu --devices 0,1", "--device and --devices: give one of them"),
        ("--workers 1 --devices 0,1", "1 workers cannot use 2 devices"),
    ],
)
def test_what_makes_no_sense_is_refused(line, message):
    with pytest.raises(ValueError, match=message):
        _build(line)


@pytest.mark.parametrize(
    ("devices", "message"),
    [("0,cpu", "must be devices of one kind"), ("0,", "of one kind"), ("1,1", "names a device")],
)
def test_devices_are_different_and_of_one_kind(devices, message, capsys):
    with pytest.raises(SystemExit):
        _build(f"--devices {devices}")
    assert message in capsys.readouterr().err


def test_devices_that_are_not_there_are_one_line(photos, sobel, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--out", str(out), "--model", str(sobel), "--devices", "7,8"]
    assert main(["edges", str(photos), *options]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("trace-mm: error: device cuda:7 ask")


def test_a_rerun_loads_no_model(photos, sobel, tmp_path, monkeypatch):
    command = ["edges", str(photos), "--out", str(tmp_path / "out"), "--model", str(sobel)]
    assert main(command) == 0
    monkeypatch.setattr("trace_mm.jobs.edge_sources.build_model", None)
    assert main(command) == 0
    with pytest.raises(TypeError, match="NoneType"):
        main([*command, "--overwrite"])


@pytest.mark.slow
def test_files_are_the_same_wherever_they_are_made(photos, sobel, tmp_path):
    ways = {
        "plain": [sys.executable, "-m", "trace_mm"],
        "torchrun": [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "trace_mm"),
        ],
    }
    options = {"ray": ["--executor", "ray", "--workers", "2", "--ray-address", "local"]}
    try:
        import ray  # noqa: F401
    except ImportError:
        pass
    else:
        ways["ray"] = ways["plain"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name, start in ways.items():
        command = [*start, "edges", photos, "--out", name, "--model", sobel, "--batch-size", "2"]
        command += ["--save", "png", "npz", "overlay", *options.get(name, [])]
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        assert result.stdout == f"4 done, 0 were done before, 0 failed: {name}\n"
        assert _files(tmp_path / name) == _files(tmp_path / "plain")
    assert len(_files(tmp_path / "plain")) == 3 * 4 + 1
