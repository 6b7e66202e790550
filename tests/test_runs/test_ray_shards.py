"""Runs over shards in a Ray cluster end with the shards of a local run, whoever is killed."""

import os
import random
import signal
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.ray_cluster import two_nodes, worker_processes
from tests.test_jobs.test_edge_shards import write_shards
from tests.test_runs.numbers_shards import SHARDS, numbers_job, write_numbers
from trace_mm.cli import main
from trace_mm.runs.executors import RayExecutor
from trace_mm.runs.shard_run import run_shards

pytest.importorskip("ray", reason="Ray is an extra")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as cluster:
        yield cluster


def _contents(out):
    return {path.name: path.read_bytes() for path in Path(out).iterdir() if path.name[:1] != "."}


def _run(job, address):
    """In a process of its own, which ends with 0 if no shard has failed."""
    summary = run_shards(job, RayExecutor(2, address), show_progress=False)
    raise SystemExit(summary.report(job.out))


def test_edges_of_shards_are_those_of_a_local_run(cluster, tmp_path, capfd):
    write_shards(tmp_path / "shards")
    model = tmp_path / "sobel.py"
    model.write_text('model = dict(type="SobelDetector")\n')
    given = ["edges", f"{tmp_path}/shards/{{000000..000003}}.tar", "--model", str(model)]
    assert main([*given, "--out", f"{tmp_path}/local"]) == 0
    ray = ["--executor", "ray", "--workers", "2", "--ray-address", cluster.address]
    capfd.readouterr()
    assert main([*given, "--out", f"{tmp_path}/ray", *ray]) == 0
    said = capfd.readouterr().out.splitlines()[-1]
    assert said.startswith("4 shards done (24 images, 0 of them failed), 0 were done before, 0")
    assert _contents(tmp_path / "ray") == _contents(tmp_path / "local")
    assert main([*given, "--out", f"{tmp_path}/ray", *ray]) == 0
    assert "4 were done before" in capfd.readouterr().out


def test_killed_workers_cost_the_shards_that_they_were_at(cluster, tmp_path):
    write_numbers(tmp_path / "numbers")
    job = numbers_job(tmp_path / "numbers", tmp_path / "out")
    undisturbed = replace(job, out=str(tmp_path / "undisturbed"))
    run_shards(undisturbed, show_progress=False)
    slow = numbers_job(tmp_path / "numbers", tmp_path / "out", seconds=0.2)
    process = get_context("spawn").Process(target=_run, args=(slow, cluster.address))
    process.start()
    rng = random.Random(0)
    for kill in range(2):
        while process.is_alive() and len(list((tmp_path / "out").glob("*.tar"))) < 1 + 2 * kill:
            time.sleep(0.01)
        assert process.is_alive(), "it was done before a worker was killed"
        while not (workers := worker_processes(cluster)):
            time.sleep(0.01)
        os.kill(rng.choice(workers), signal.SIGKILL)
    process.join()
    assert process.exitcode == 0
    assert len(_contents(job.out)) == SHARDS + 1  # and the settings
    assert _contents(job.out) == _contents(undisturbed.out)
