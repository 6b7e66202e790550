"""Calls in other processes: in order, bounded; none outlives a killed or interrupted parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from trace_mm.runs.pool import Pool, ordered_map

PARENT = """
import sys
from tests.test_runs.test_pool import Pool, pid_after
if __name__ == "__main__":
    with Pool(2, lambda pid: print(pid, flush=True)) as pool:
        try:
            pool.submit(pid_after, 0.3)
            pool.wait()
            pool.submit(pid_after, 60.0 if sys.argv[1] == "kill" else 1.0)
            pool.wait()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.exit(130)
"""


def process_and_square(number):
    return os.getpid(), number**2


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number):
    if number == 20:
        raise ValueError("20 is refused")
    return number


def threads(number):
    import torch  # here, as the other tests' processes do without

    return torch.get_num_threads(), cv2.getNumThreads()


def pid_after(seconds):
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_the_calls(workers):
    results = []
    with Pool(workers, results.append) as pool:
        for number in range(11):
            pool.submit(process_and_square, number)
        pool.wait()

    assert [square for _, square in results] == [number**2 for number in range(11)]
    assert (os.getpid() in {process for process, _ in results}) == (workers == 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_map_keeps_the_order_and_takes_things_as_they_are_needed(workers):
    taken = []
    numbers = (taken.append(number) or number for number in range(1000))
    squares = (square for _, square in ordered_map(process_and_square, numbers, workers))
    assert [next(squares) for _ in range(20)] == [number**2 for number in range(20)]
    assert len(taken) < 300
    assert list(squares) == [number**2 for number in range(20, 1000)]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_call_raises_is_raised_here(workers):
    with pytest.raises(ValueError, match="20 is refused"):
        list(ordered_map(refuse, range(40), workers))


def test_workers_compute_with_one_thread():
    assert list(ordered_map(threads, [0], 1)) == [(1, 1)]


def test_a_worker_that_dies_is_reported():
    with pytest.raises(OSError, match="a worker process died"), Pool(1, print) as pool:
        pool.submit(die, 0)
        pool.wait()


def test_there_cannot_be_fewer_than_no_workers():
    for call in (lambda: Pool(-1, print), lambda: ordered_map(print, [], -1)):
        with pytest.raises(ValueError, match="0 workers or more, got -1"):
            call()


def alive(pid):
    """Whether a process is there; nobody may be left to collect one that has ended."""
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
