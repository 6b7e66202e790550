"""Computing in one thread, where the last bit must not depend on how many there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_ONE_AT_A_TIME = Lock()  # the number of threads is the whole process's


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context torch computes in one thread, so that rounding is always the same."""
    import torch

    with _ONE_AT_A_TIME:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
