"""A folder that takes the place of another: there is always one of the two."""

import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from trace_mm.files import whole_folders
from trace_mm.files.whole_folders import WholeFolder, exchange

MARKER = ".marker"


def _replaced(out, text):
    folder = WholeFolder(out, MARKER, overwrite=True)
    (folder.partial / "text").write_text(text)
    folder.put_in_place(b"")


@pytest.fixture(autouse=True)
def no_waiting_for_disks(monkeypatch):
    monkeypatch.setattr("os.sync", lambda: None)


@pytest.mark.skipif(sys.platform != "linux", reason="takes two steps elsewhere")
def test_a_folder_is_replaced_in_one_step(tmp_path):
    """Whoever looks, whenever, finds a whole folder: so a kill at any moment leaves one."""
    out, done, gaps = tmp_path / "out", Event(), []
    _replaced(out, "first")

    def look():
        while not done.is_set():
            try:
                (out / "text").read_text()
            except FileNotFoundError as error:
                gaps.append(error)

    watcher = Thread(target=look)
    watcher.start()
    for number in range(50):
        _replaced(out, str(number))
    done.set()
    watcher.join()
    assert gaps == []
    assert (out / "text").read_text() == "49"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("whole", [True, False])
def test_systems_without_such_a_step(tmp_path, monkeypatch, whole):
    """What was there stays if the new folder cannot be put in its place."""
    monkeypatch.setattr(whole_folders, "exchange", lambda one, other: False)
    out, replace = tmp_path / "out", Path.replace
    _replaced(out, "old")

    def failing(path, target):
        if target == out and (path / "text").read_text() == "new" and not whole:
            raise OSError("the disk is gone")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    if whole:
        _replaced(out, "new")
    else:
        with pytest.raises(OSError, match="the disk is gone"):
            _replaced(out, "new")
    assert (out / "text").read_text() == ("new" if whole else "old")


def test_what_cannot_change_places(tmp_path):
    (tmp_path / "one").mkdir()
    assert not exchange(tmp_path / "one", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
