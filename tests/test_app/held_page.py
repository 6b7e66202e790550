"""The page within this process, whose passes wait until a test lets them through."""

import os
from contextlib import contextmanager
from threading import Semaphore
from time import monotonic, sleep
from unittest import mock

from trace_mm.app.photos import Limits
from trace_mm.app.server import served
from trace_mm.app.session import AppModels

PATIENCE = 180  # seconds


class HeldModels(AppModels):
    """Models that remember what they were asked for, and wait.

    Attributes:
        asked: name of the photo and timestep of each pass that has begun.
        fault: passes fail by it, if it is not empty.
    """

    def __init__(self):
        super().__init__("trace-tiny", "cpu")
        self.asked, self.fault, self._open = [], "", Semaphore(0)

    def read(self, photo, reading):
        self.asked.append((photo.name, reading.timestep))
        assert self._open.acquire(timeout=PATIENCE)
        if self.fault:
            raise ValueError(self.fault)
        return super().read(photo, reading)

    def let_through(self, passes):
        """Let so many passes go on."""
        self._open.release(passes)

    def wait_for(self, passes):
        """Wait until so many have begun."""
        end = monotonic() + PATIENCE
        while len(self.asked) < passes:
            assert monotonic() < end, self.asked
            sleep(0.02)


@contextmanager
def held_page(models, folder):
    """The address of a page of such models."""
    folder.mkdir()
    with mock.patch.dict(os.environ), served(models, Limits(), port=0) as address:
        yield address
