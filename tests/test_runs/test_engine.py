"""Runs end with the same files, whoever did the work and whatever was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.test_runs.numbers_job import NumbersJob
from trace_mm.runs import processes
from trace_mm.runs.engine import run
from trace_mm.runs.executors import LocalExecutor
from trace_mm.runs.journal import JournalPart

COUNT = 30
TOTAL = sum(number**2 for number in range(COUNT))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def job(tmp_path):
    (tmp_path / "numbers").mkdir()
    for number in range(COUNT):
        (tmp_path / f"numbers/{number:03d}.txt").write_text(str(number))
    return NumbersJob(tmp_path / "numbers", tmp_path / "out")


def _contents(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def _run(job, *arguments, **options):
    return run(job, *arguments, show_progress=False, **options)


@pytest.fixture
def expected(job):
    undisturbed = replace(job, out=job.out.with_name("undisturbed"))
    _run(undisturbed)
    return _contents(undisturbed.out)


def test_all_items_are_done_once(job):
    result = _run(job)
    assert (len(result.done), result.skipped, result.failed) == (COUNT, [], {})
    assert (job.out / "total.txt").read_text() == str(TOTAL)
    assert (job.out / "squares/007.txt").read_text() == "49"
    (job.out / "squares/007.txt").unlink()
    result = _run(job)
    assert result.done == ["007"]
    assert len(result.skipped) == COUNT - 1


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_workers_and_batches_change_nothing(job, expected, workers, batch_size):
    _run(job, LocalExecutor(workers), batch_size=batch_size)
    assert _contents(job.out) == expected


def test_items_that_fail_are_told_and_tried_again(job):
    (job.folder / "005.txt").write_text("five")
    assert list(_run(job, LocalExecutor(2)).failed) == ["005"]
    (job.folder / "005.txt").write_text("5")
    assert _run(job).done == ["005"]


def test_what_was_made_before_an_item_fails_is_removed(job):
    _run(job)
    (job.folder / "005.txt").write_text("five")
    assert list(_run(job).failed) == ["005"]
    assert not (job.out / "squares/005.txt").exists()
    assert (job.out / "total.txt").read_text() == str(TOTAL - 25)


def test_what_cannot_be_pickled_is_for_this_process_only(job):
    object.__setattr__(job, "seconds", lambda: 0)
    with pytest.raises(ValueError, match=r"cannot be pickled \(.*lambda"):
        _run(job, LocalExecutor(2))


def test_settings_of_a_run_that_came_to_nothing_bind_nobody(job, expected):
    class Modelless(NumbersJob):
        def recipe(self):
            raise FileNotFoundError("no such model")

    with pytest.raises(FileNotFoundError, match="no such model"):
        _run(Modelless(job.folder, job.out, seed=1))
    assert len((job.out / "manifest.jsonl").read_text().splitlines()) == 1
    _run(job)
    assert _contents(job.out) == expected
    with pytest.raises(ValueError, match="other settings: seed 0, now 1"):
        _run(replace(job, seed=1))


def test_what_is_no_longer_there_is_removed(job):
    _run(job)
    (job.folder / "005.txt").unlink()
    assert _run(job).done == []
    assert not (job.out / "squares/005.txt").exists()
    assert (job.out / "total.txt").read_text() == str(TOTAL - 25)


def test_an_item_that_kills_workers_is_found(job):
    result = _run(replace(job, deadly=11), LocalExecutor(2), batch_size=4)
    assert list(result.failed) == ["011"]
    assert "3 worker processes died at it" in result.failed["011"]
    assert len(result.done) == COUNT - 1


def test_workers_that_all_die_end_the_run(job):
    for path in job.folder.iterdir():
        path.write_text("1")
    with pytest.raises(OSError, match="die one after another"):
        _run(replace(job, deadly=1), LocalExecutor(2))


def test_no_worker_outlives_a_run_that_an_error_ends(job, monkeypatch):
    def full(part, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalPart, "add", full)
    with pytest.raises(OSError, match="No space") as error:  # which holds the run's frames
        _run(replace(job, seconds=0.01), LocalExecutor(2))
    assert _children(os.getpid()) == [], error


class _Pipe:
    """A connection of another class, as on Windows."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)


def test_connections_of_any_kind_are_heard(job, expected, monkeypatch):
    make = processes.CONTEXT.Pipe

    def pipe():
        ours, theirs = make()
        return _Pipe(ours), theirs

    monkeypatch.setattr(processes.CONTEXT, "Pipe", pipe)
    _run(job, LocalExecutor(1))
    assert _contents(job.out) == expected


def test_killed_workers_cost_nothing(job, expected):
    """Workers of a run in another process are killed at random; it ends all the same."""
    process = get_context("spawn").Process(
        target=_run, args=(replace(job, seconds=0.02), LocalExecutor(2))
    )
    process.start()
    rng = random.Random(0)
    kills = 0
    while process.is_alive():
        workers = _children(process.pid)
        if workers and kills < 4 and _lines(job.out) > 3 * kills:
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills += 1
        time.sleep(0.02)
    assert process.exitcode == 0
    assert kills == 4
    assert _contents(job.out) == expected


def test_killed_runs_go_on(job, expected):
    slow = replace(job, seconds=0.1)
    for goal in (3, 9, 15):
        process = get_context("spawn").Process(target=_run, args=(slow, LocalExecutor(2)))
        process.start()
        while process.is_alive() and _lines(job.out) < goal:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    result = _run(job)
    assert len(result.skipped) >= 10
    assert _contents(job.out) == expected


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_ranks_share_runs(job, expected, launcher, tmp_path):
    outs = [str(job.out), str(tmp_path / "second")]
    program = tmp_path / "program.py"
    program.write_text(
        "from pathlib import Path\n"
        "from tests.test_runs.numbers_job import NumbersJob\n"
        "from trace_mm.runs.engine import run\n"
        f"for out in {outs}:\n"
        f"    job = NumbersJob(Path({str(job.folder)!r}), Path(out))\n"
        f"    assert len(run(job, show_progress=False).done) == {COUNT}\n"
    )
    if launcher == "torchrun":
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
        command += ["--standalone", str(program)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, env=environment, check=True, timeout=100)
    else:
        assert [status for status, _ in _srun(program)] == [0, 0]
    assert [_contents(Path(out)) for out in outs] == [expected, expected]


def test_what_ends_one_rank_is_told_by_it_alone(job, tmp_path):
    _run(job)
    program = tmp_path / "program.py"
    program.write_text(
        "from pathlib import Path\n"
        "from tests.test_runs.numbers_job import NumbersJob\n"
        "from trace_mm.commands.command_line import run_command\n"
        "from trace_mm.runs.engine import run\n"
        f"job = NumbersJob(Path({str(job.folder)!r}), Path({str(job.out)!r}), seed=1)\n"
        "raise SystemExit(run_command(lambda: run(job, show_progress=False)))\n"
    )
    (first, refused), (second, other) = _srun(program)
    assert (first, second) == (2, 1)
    assert "other settings" in refused
    assert "another process of this run has ended" in other
    assert "Traceback" not in refused + other


def _srun(program):
    """Exit status and errors of each of two processes that a program is, as Slurm starts them."""
    scontrol = program.with_name("bin") / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text("#!/bin/sh\necho localhost\n")
    scontrol.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment |= {"PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    environment |= {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "node[1-2]"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(program)],
            env={**environment, "SLURM_PROCID": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=100)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, errors, strict=True)]


def _children(process):
    """Workers of a process, without what multiprocessing itself has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_bytes().rpartition(b")")[2].split()
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == process and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


def _lines(out):
    """How many records there are: the same may be in two files, and one may vanish meanwhile."""
    lines = set()
    for path in out.glob("manifest*.jsonl") if out.exists() else ():
        with suppress(FileNotFoundError):
            lines.update(path.read_bytes().splitlines()[1:])
    return len(lines)
