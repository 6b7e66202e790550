"""Runs over shards end with the same shards, whoever did the work and whatever was killed."""

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.test_runs.numbers_job import NumbersRecipe
from tests.test_runs.numbers_shards import SAMPLES, SHARDS, numbers_job, write_numbers
from tests.test_runs.test_engine import _children
from trace_mm.files.shards import ShardWriter, read_shard
from trace_mm.runs.executors import LocalExecutor
from trace_mm.runs.shard_run import SETTINGS, run_shards

ROOT = Path(__file__).parents[2]


@pytest.fixture
def numbers(tmp_path):
    write_numbers(tmp_path / "numbers")
    return tmp_path / "numbers"


@pytest.fixture
def job(numbers, tmp_path):
    return numbers_job(numbers, tmp_path / "out")


@pytest.fixture
def expected(job):
    undisturbed = replace(job, out=job.out + "-undisturbed")
    _run(undisturbed)
    return _contents(undisturbed.out)


def _run(job, *arguments, **options):
    return run_shards(job, *arguments, show_progress=False, **options)


def _contents(out):
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in Path(out).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_each_shard_becomes_one(job):
    summary = _run(job)
    assert summary.done == [f"{number}.tar" for number in range(SHARDS)]
    assert (summary.skipped, summary.failed, summary.images) == ([], {}, SHARDS * SAMPLES)
    samples = [*read_shard(f"{job.out}/1.tar")]
    assert [sample.key for sample in samples] == [f"b/{number:02d}" for number in range(SAMPLES)]
    assert samples[2].files["square.txt"] == b"49"
    record = json.loads(samples[2].files["json"])
    assert record == {"key": "b/02", "outputs": {"square.txt": 2}, "result": {"square": 49}}
    with tarfile.open(f"{job.out}/1.tar") as tar:
        assert tar.getnames()[:2] == ["b/00.square.txt", "b/00.json"]


def test_what_is_there_is_done(job):
    _run(job)
    Path(job.out, "3.tar").unlink()
    summary = _run(job)
    assert summary.done == ["3.tar"]
    assert len(summary.skipped) == SHARDS - 1
    assert summary.report(job.out) == 0


def test_more_shards_may_come(job, numbers, expected):
    few = numbers_job(numbers, job.out, shards=2)
    assert len(_run(few).done) == 2
    summary = _run(job)
    assert (len(summary.done), len(summary.skipped)) == (SHARDS - 2, 2)
    contents = _contents(job.out)
    assert len(json.loads(contents.pop(SETTINGS))["patterns"]) == 2
    assert contents == {name: expected[name] for name in expected if name != SETTINGS}


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 1), (0, 3), (2, 3)])
def test_workers_and_batches_change_nothing(job, expected, workers, batch_size):
    _run(job, LocalExecutor(workers), batch_size=batch_size)
    assert _contents(job.out) == expected


@dataclass(frozen=True)
class _SortedRecipe(NumbersRecipe):
    """Its worker takes even and odd numbers in batches of their own, in threads."""

    overlaps: bool = True

    def group(self, loaded):
        return loaded[1] % 2


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_samples_keep_their_order(job, expected, batch_size):
    _run(replace(job, recipe=_SortedRecipe(0, None)), batch_size=batch_size)
    assert _contents(job.out) == expected


def test_samples_that_fail_are_recorded_and_told(job, numbers, capsys):
    with ShardWriter(numbers / "2.tar") as writer:
        writer.add("x", {"jpg": b""})
        writer.add("y", {"txt": b"four"})
        writer.add("z", {"txt": b"4"})
    summary = _run(job)
    assert (len(summary.done), summary.images, summary.images_failed) == (SHARDS, 28, 2)
    samples = {sample.key: sample.files for sample in read_shard(f"{job.out}/2.tar")}
    assert json.loads(samples["x"]["json"]) == {"key": "x", "error": "x: no number"}
    assert [*samples["y"]] == ["json"]
    assert [*samples["z"]] == ["square.txt", "json"]
    capsys.readouterr()
    assert summary.report(job.out) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("6 shards done (28 images, 2 of them failed), 0 were done")
    assert "  2.tar: x: no number\n" in captured.err


def test_failures_of_earlier_runs_are_told_again(job, numbers, expected, capsys):
    shard = (numbers / "2.tar").read_bytes()
    with ShardWriter(numbers / "2.tar") as writer:
        writer.add("x", {"jpg": b""})
        writer.add("y", {"txt": b"four"})
    _run(job)
    assert [path.name for path in Path(job.out).glob("*failed*")] == ["2.failed-2.json"]
    for _ in range(2):
        assert _run(job).report(job.out) == 1
        captured = capsys.readouterr()
        assert "6 were done before (where 2 images failed), 0 failed" in captured.out
        assert "  2.tar: x: no number\n" in captured.err
    assert _run(numbers_job(numbers, job.out, shards=2)).report(job.out) == 0  # another part
    (numbers / "2.tar").write_bytes(shard)
    Path(job.out, "2.tar").unlink()
    assert _run(job).report(job.out) == 0
    assert _contents(job.out).keys() == expected.keys()


def test_overwriting_forgets_failures(job, numbers, expected):
    shard = (numbers / "0.tar").read_bytes()
    with ShardWriter(numbers / "0.tar") as writer:
        writer.add("x", {"jpg": b""})
    _run(job)
    Path(job.out, "mine.failed-1.json").touch()
    (numbers / "0.tar").write_bytes(shard)
    assert _run(job, overwrite=True).report(job.out) == 0
    assert _contents(job.out) == {**expected, "mine.failed-1.json": b""}


def test_a_shard_that_cannot_be_read_fails_alone(job, numbers, capsys):
    (numbers / "1.tar").unlink()
    (numbers / "4.tar").write_bytes((numbers / "4.tar").read_bytes()[:2000])
    summary = _run(job)
    assert [*summary.failed] == ["1.tar", "4.tar"]
    assert summary.failed["1.tar"] == f"{numbers}/1.tar: no such file"
    assert summary.failed["4.tar"].startswith(f"{numbers}/4.tar: not a whole tar file")
    assert summary.report(job.out) == 1
    assert _contents(job.out).keys() == {SETTINGS, "0.tar", "2.tar", "3.tar", "5.tar"}
    write_numbers(numbers)
    assert _run(job).done == ["1.tar", "4.tar"]


def test_a_shard_that_kills_workers_is_found(job):
    job = replace(job, recipe=NumbersRecipe(0, deadly=11))
    summary = _run(job, LocalExecutor(2))
    assert list(summary.failed) == ["2.tar"]
    assert "3 worker processes died at it" in summary.failed["2.tar"]


def test_other_settings_are_refused(job, expected, numbers):
    _run(replace(job, settings={"seed": 1}))
    with pytest.raises(ValueError, match="out holds results of other settings: seed 1, now 0"):
        _run(job)
    assert len(_run(job, overwrite=True).done) == SHARDS
    assert _contents(job.out) == expected
    elsewhere = numbers.with_name("elsewhere")
    write_numbers(elsewhere)
    with pytest.raises(ValueError, match=r"shards '.*numbers', now '.*elsewhere'"):
        _run(numbers_job(elsewhere, job.out))


def test_overwriting_leaves_nothing_of_other_settings(job, numbers):
    _run(numbers_job(numbers, job.out, shards=2, seed=1))
    _run(replace(job, settings={"seed": 1}))
    Path(job.out, "mine.tar").touch()
    few = numbers_job(numbers, job.out, shards=2)
    _run(few, overwrite=True)
    assert _contents(job.out).keys() == {SETTINGS, "0.tar", "1.tar", "mine.tar"}


def test_settings_of_a_run_that_came_to_nothing_bind_nobody(job, expected):
    Path(job.out).mkdir()
    Path(job.out, SETTINGS).write_text(
        '{"format": 1, "settings": {"seed": 7, "shards": "/x"}, "patterns": ["/x/{0..9}.tar"]}\n'
    )
    _run(job)
    assert _contents(job.out) == expected


def test_shards_of_somebody_else_are_left_alone(job):
    Path(job.out).mkdir()
    Path(job.out, "2.tar").write_text("mine")
    with pytest.raises(ValueError, match=r"out holds 2.tar, but no trace_mm.json"):
        _run(job)
    Path(job.out, SETTINGS).write_text("torn")
    with pytest.raises(ValueError, match=r"trace_mm.json is damaged, or not of this version"):
        _run(job)
    assert Path(job.out, "2.tar").read_text() == "mine"


def test_shards_are_not_written_onto(job, numbers):
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"0.tar, which is read, lies in .*numbers"):
            _run(replace(job, out=str(numbers)), overwrite=overwrite)
    with pytest.raises(ValueError, match="memory://n/: results would be written onto memory://n/0"):
        _run(numbers_job("memory://n", "memory://n/"))


def test_stores_in_memory():
    write_numbers("memory://numbers/in")
    job = numbers_job("memory://numbers/in", "memory://numbers/out")
    assert len(_run(job).done) == SHARDS
    assert len(_run(job).skipped) == SHARDS
    assert _run(job, overwrite=True).images == SHARDS * SAMPLES


def test_killed_workers_cost_nothing(job, expected):
    slow = replace(job, recipe=NumbersRecipe(0.03, None))
    process = get_context("spawn").Process(target=_run, args=(slow, LocalExecutor(2)))
    process.start()
    rng, kills = random.Random(0), 0
    while process.is_alive():
        workers = _children(process.pid)
        if workers and kills < 2 and len(_shards(job.out)) > kills:
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills += 1
        time.sleep(0.02)
    assert (process.exitcode, kills) == (0, 2)
    assert _contents(job.out) == expected


def test_killed_runs_go_on(job, expected):
    slow = replace(job, recipe=NumbersRecipe(0.02, None))
    for goal in (1, 3):
        process = get_context("spawn").Process(target=_run, args=(slow, LocalExecutor(0)))
        process.start()
        while process.is_alive() and len(_shards(job.out)) < goal:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    summary = _run(job)
    assert len(summary.skipped) >= 3
    assert _contents(job.out) == expected
    assert not [path for path in Path(job.out).iterdir() if path.name.startswith(".0")]


def test_ranks_share_a_run(job, numbers, expected, tmp_path):
    (numbers / "5.tar").unlink()
    program = tmp_path / "program.py"
    program.write_text(
        "from tests.test_runs.numbers_shards import numbers_job\n"
        "from trace_mm.runs.shard_run import run_shards\n"
        f"job = numbers_job({str(numbers)!r}, {job.out!r}, seconds=0.01)\n"
        "summary = run_shards(job, show_progress=False)\n"
        "assert (len(summary.done), summary.images, [*summary.failed]) == (5, 25, ['5.tar'])\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--standalone", str(program)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True, timeout=100)
    del expected["5.tar"]
    assert _contents(job.out) == expected


def _shards(out):
    return [*Path(out).glob("*.tar")]
