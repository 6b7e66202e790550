"""How processes that work for another begin."""

import ctypes
import os
import subprocess
import sys

import pytest

THREADS = """
import sys
{before}
from trace_mm.runs.spawned import use_threads

use_threads(1)
assert ("torch" in sys.modules) == ("torch" in {before!r}), "imported for nothing"
import cv2
import torch

print(cv2.getNumThreads(), torch.get_num_threads())
"""


@pytest.mark.parametrize("before", ["", "import torch", "import scipy.ndimage, pycocotools.mask"])
def test_torch_and_opencv_keep_to_the_threads_whenever_they_are_imported(before):
    command = [sys.executable, "-c", THREADS.format(before=before)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stdout.split() == ["1", "1"], run.stderr


FAULTS = """
import resource
import sys

import numpy as np

from trace_mm.runs.spawned import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for turn in range(6):
    if turn == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(64 << 20, dtype=np.uint8).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="memory is not given out by glibc"
)
def test_freed_memory_is_not_asked_for_again():
    """Each page that the system hands out is a fault, which is counted: 64 MiB are 16,384."""

    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
        run = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        return int(run.stdout)

    assert faults("keep") < 1000 < faults("as it is")
