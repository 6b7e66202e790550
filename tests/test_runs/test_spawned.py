"""How processes that work for another begin."""

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
