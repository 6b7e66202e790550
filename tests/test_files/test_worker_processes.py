"""Workers outlive neither a killed parent nor an interrupted one, and say nothing of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trace_mm.files.worker_processes import WorkerProcesses

PARENT = """
import os, sys, time
from tests.test_files.test_worker_processes import pid_after, WorkerProcesses
if __name__ == "__main__":
    with WorkerProcesses(2) as pool:
        try:
            print(*{pool.submit(pid_after, 0.3).result() for _ in range(1)}, flush=True)
            pool.submit(pid_after, 60.0 if sys.argv[1] == "kill" else 1.0).result()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.exit(130)
"""


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.fixture
def parent(tmp_path):
    """Starts a process with a busy worker, in a group of its own like that of a terminal."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = str(Path(__file__).parents[2])
    started = []

    def start(how):
        process = subprocess.Popen(
            [sys.executable, str(script), how],
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux about processes")
def test_workers_end_with_a_killed_parent(parent):
    process, worker = parent("kill")
    assert alive(worker)
    process.kill()
    process.wait()
    for _ in range(200):
        if not alive(worker):
            return
        time.sleep(0.05)
    pytest.fail("the worker lives on")


def test_ctrl_c_is_for_the_parent(parent):
    process, _ = parent("interrupt")
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130
    assert output == "interrupted\n"
    assert "Traceback" not in errors


def test_results_and_preparation():
    with WorkerProcesses(1, prepare=os.getpid) as pool:
        assert pool.submit(pid_after, 0.0).result() != os.getpid()
