import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from trace_mm.apis.batches import batched
from trace_mm.apis.worker_pool import WorkerPool


def process_and_square(number):
    return os.getpid(), number**2


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_submission(workers):
    results = []
    with WorkerPool(workers, results.append) as pool:
        for number in range(7):
            pool.submit(process_and_square, number)
        pool.wait()

    assert [square for _, square in results] == [number**2 for number in range(7)]
    assert (os.getpid() in {process for process, _ in results}) == (workers == 0)


def test_a_worker_that_dies_is_reported():
    with pytest.raises(OSError, match="a worker process died"), WorkerPool(1, print) as pool:
        pool.submit(die, 0)
        pool.wait()


def write_pid_and_wait(path):
    path.write_text(str(os.getpid()))
    time.sleep(300)


def wait_for_a_worker(path):
    with WorkerPool(1, print) as pool:
        pool.submit(write_pid_and_wait, path)
        pool.wait()


def until(condition):
    """Wait until something holds, up to a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    path = tmp_path / "pid"
    parent = get_context("spawn").Process(target=wait_for_a_worker, args=(path,))
    parent.start()
    until(lambda: path.is_file() and path.read_text())
    worker = int(path.read_text())
    parent.kill()
    parent.join()
    until(lambda: not is_running(worker))


def is_running(process):
    """Whether a process is there; nobody may be left to collect one that has ended."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_there_cannot_be_fewer_than_no_workers():
    with pytest.raises(ValueError, match="0 workers or more"):
        WorkerPool(-1, print)


def test_batches_hold_all_items():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 3)) == []
