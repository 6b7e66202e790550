"""Locks: one process at a time, and none is left behind by a process that dies."""

import errno
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trace_mm.files import locked, locking, walk_images

PROJECT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from trace_mm.files import locked, locking, walk_images
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_locks_between_processes(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="another run is writing"), locked(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with (
        locked(tmp_path),
        pytest.raises(ValueError, match="another run is writing"),
        locked(tmp_path),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_walk_is_sorted_and_visits_a_folder_once(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a/x.txt", "a/.hidden.png", ".git/y.png", "c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in walk_images(tmp_path)]
    assert found == ["b/1.png", "b/2.JPG", "c.webp"]
    excluded = walk_images(tmp_path, exclude=[(tmp_path / "b").resolve()])
    assert [path.name for path in excluded] == ["c.webp"]


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(locking, "_lock", refuse)
    with pytest.raises(OSError, match=re.escape(str(tmp_path))), locked(tmp_path):
        pass
