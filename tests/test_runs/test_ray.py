"""A run in a Ray cluster ends with the files of a local one, whoever is killed on the way."""

import os
import random
import signal
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context

import pytest

from tests.ray_cluster import NODE, two_nodes, worker_processes
from tests.test_runs.numbers_job import NumbersJob, NumbersRecipe
from trace_mm.console import note
from trace_mm.runs import ray_crew
from trace_mm.runs.engine import run
from trace_mm.runs.executors import RayExecutor
from trace_mm.runs.sinks import FolderSink

pytest.importorskip("ray", reason="Ray is an extra")
pytestmark = pytest.mark.slow

COUNT = 30


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """No note that workers have not begun, however slow the machine is."""
    monkeypatch.setattr(ray_crew, "_PATIENCE", 600.0)


@pytest.fixture
def job(tmp_path):
    (tmp_path / "numbers").mkdir()
    for number in range(COUNT):
        (tmp_path / f"numbers/{number:03d}.txt").write_text(str(number))
    return NumbersJob(tmp_path / "numbers", tmp_path / "out")


@pytest.fixture
def expected(job):
    undisturbed = replace(job, out=job.out.with_name("undisturbed"))
    run(undisturbed, show_progress=False)
    return _contents(undisturbed.out)


def _contents(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def _run(job, address, **options):
    return run(job, RayExecutor(2, address), show_progress=False, **options)


def _start(job, address):
    """A run in a process of its own, which can be killed."""
    process = get_context("spawn").Process(target=_run, args=(job, address))
    process.start()
    return process


def _wait_for(process, job, lines):
    """Wait until a run has recorded so many items, or has ended."""
    while process.is_alive() and _lines(job.out) < lines:
        time.sleep(0.01)


def _lines(out):
    parts = out.glob("manifest*.jsonl") if out.exists() else ()
    return sum(part.read_bytes().count(b"\n") - 1 for part in parts)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_files_are_those_of_a_local_run(cluster, job, expected, batch_size, capfd):
    result = _run(job, cluster.address, batch_size=batch_size)
    assert (len(result.done), result.failed) == (COUNT, {})
    assert _contents(job.out) == expected
    assert capfd.readouterr() == ("", ""), "Ray talks where a person looks for results"


def test_killed_workers_cost_nothing(cluster, job, expected):
    process, rng = _start(replace(job, seconds=0.1), cluster.address), random.Random(0)
    for kill in range(4):
        _wait_for(process, job, 3 * kill + 2)
        while not (workers := worker_processes(cluster)):  # between those that died and new ones
            assert process.is_alive()
            time.sleep(0.01)
        os.kill(rng.choice(workers), signal.SIGKILL)
    process.join()
    assert process.exitcode == 0
    assert _contents(job.out) == expected


def test_a_killed_node_costs_nothing(cluster, job, expected):
    (node,) = cluster.worker_nodes
    process = _start(replace(job, seconds=0.1), cluster.address)
    _wait_for(process, job, 3)
    cluster.remove_node(node, allow_graceful=False)  # and with it the room for its worker
    process.join()
    cluster.add_node(**NODE)
    assert process.exitcode == 0
    assert _contents(job.out) == expected


def test_a_killed_driver_is_started_again(cluster, job, expected):
    process = _start(replace(job, seconds=0.1), cluster.address)
    _wait_for(process, job, 5)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    result = _run(job, cluster.address)
    assert len(result.skipped) >= 5
    assert _contents(job.out) == expected


@dataclass(frozen=True)
class Talkative(NumbersJob):
    """A job whose worker has something to say, and may not find its model."""

    model: str = ""

    def recipe(self):
        return TalkativeRecipe(self.seconds, self.deadly, model=self.model)


@dataclass(frozen=True)
class TalkativeRecipe(NumbersRecipe):
    model: str = ""

    def worker(self, device):
        note(f"worker on {device}")
        if self.model:
            raise FileNotFoundError(f"{self.model}: no such model")
        return self


def test_what_workers_say_and_raise_arrives(cluster, job, capfd):
    _run(Talkative(job.folder, job.out), cluster.address)
    assert set(capfd.readouterr().err.splitlines()) == {"note: worker on None"}
    with pytest.raises(FileNotFoundError, match=r"^student\.pth: no such model$"):
        _run(
            Talkative(job.folder, job.out, 1, model="student.pth"), cluster.address, overwrite=True
        )


def test_workers_share_a_gpu(cluster, job, capfd):
    """Of a node that says that it has one: how Ray hands it out needs none."""
    node = cluster.add_node(**NODE, num_gpus=1)
    talkative = Talkative(job.folder, job.out)
    try:
        run(talkative, RayExecutor(2, cluster.address, 0.5, 0.5), show_progress=False)
        assert set(capfd.readouterr().err.splitlines()) == {"note: worker on cuda:0"}
        run(job, RayExecutor(1, cluster.address), show_progress=False, overwrite=True)
    finally:
        cluster.remove_node(node)
    said = "note: the Ray cluster has 1 GPUs, of which the workers were given none"
    assert said in capfd.readouterr().err.splitlines()


def test_workers_for_which_there_is_no_room_are_waited_for(cluster, job, monkeypatch, capfd):
    monkeypatch.setattr(ray_crew, "_PATIENCE", 0.2)
    run(replace(job, seconds=0.5), RayExecutor(3, cluster.address), show_progress=False)
    said = capfd.readouterr().err
    assert said.count("workers have not begun: each waits until the Ray cluster has 1 CPUs") == 1


def test_a_folder_that_is_not_shared_is_refused(job, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    sink = FolderSink(job.out)
    with sink.marked() as mark:
        assert sink.has(mark)
        with pytest.raises(OSError, match=r"elsewhere of this machine: the nodes .* must share"):
            ray_crew._check_folder(FolderSink(tmp_path / "elsewhere"), mark)
    assert list(job.out.iterdir()) == []


def test_what_cannot_be_reached_is_refused(job):
    with pytest.raises(OSError, match=r"no Ray cluster answers at localhost:1: "):
        _run(job, "localhost:1")


def test_a_start_that_takes_too_long_is_one_line(job, monkeypatch):
    def late(**options):
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr("ray.init", late)
    with pytest.raises(OSError, match=r"^no Ray cluster: The current node timed out .*startup\.$"):
        run(job, RayExecutor(1, "local"), show_progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "1 worker or more, got 0"),
        ((1, None, 1.5), "GPUs must be part of one or whole, got 1.5"),
        ((1, "ray://head:10001"), "give HOST:6379"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RayExecutor(*arguments)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ray_crew, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'trace_mm\[ray\]'"):
        RayExecutor(1)
