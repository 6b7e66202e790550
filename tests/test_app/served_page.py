"""A really started ``trace-mm app``, in a process and folders of its own."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Page:
    """Where it is, and where its files would be."""

    address: str
    process: int
    home: Path
    temporary: Path

    def left_behind(self):
        """Files in the folders that a program may write without being asked."""
        folders = (self.home, self.temporary)
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


@contextmanager
def served_page(folder, *options):
    """The page of the small model, until the context ends by a request to terminate."""
    home, temporary = folder / "home", folder / "temporary"
    for one in (home, temporary):
        one.mkdir(parents=True)
    environment = {
        **os.environ,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "trace_mm", "app", "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--model", "trace-tiny", *options],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise AssertionError("".join(said))
        yield Page(found[0], process.pid, home, temporary)
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=300)
    assert process.returncode == 0, rest


def write_photo(path, shade=110, turned=False):
    """A photo of two rectangles, of 80 x 60 pixels."""
    pixels = np.full((60, 80, 3), shade, np.uint8)
    pixels[10:45, 8:34] = (230, 40, 30)
    pixels[18:50, 44:72] = (30, 80, 220)
    Image.fromarray(np.rot90(pixels) if turned else pixels).save(path)
    return path
