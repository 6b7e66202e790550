"""One thread, and as many as before afterwards."""

import torch

from trace_mm.runs.threads import one_thread


def test_one_thread_within_the_context():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
