"""Files that are there whole or not at all."""

import multiprocessing
import os
import signal

import pytest

from trace_mm.files import (
    TEMPORARY_SUFFIX,
    remove_abandoned,
    remove_temporary_files,
    temporary_path,
    write_atomically,
    written_whole,
)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_names_the_file_and_leaves_it(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device.*a\.txt"):
        write_atomically(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_becomes_the_file_at_its_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with written_whole(path) as stream:
        stream.write(b"one")
        stream.write(b"two")
        assert not path.exists()
    assert path.read_bytes() == b"onetwo"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("bad"), OSError(5, "bad disk"), KeyboardInterrupt()])
def test_what_fails_while_a_stream_is_written_leaves_the_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    with pytest.raises(type(error)) as caught, written_whole(path) as stream:
        stream.write(b"after")
        raise error
    assert caught.value is error
    assert getattr(error, "filename", None) is None  # another file was at fault
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_file_to_be_written(tmp_path):
    path = tmp_path / "a.txt"
    resource = pytest.importorskip("resource", reason="limits of files' sizes are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError, match=r"a\.txt"), written_whole(path) as stream:
            for _ in range(200):
                stream.write(bytes(1 << 14))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(tmp_path.iterdir())


def write_many(arguments):
    """Write a file again and again, with the process number and a counter that others have too."""
    path, mark = arguments
    os.getpid = lambda: 1  # as in containers
    content = bytes([mark]) * 4096
    for _ in range(200):
        write_atomically(path, content)
    return path.read_bytes()


def test_processes_of_one_number_do_not_meet(tmp_path):
    jobs = [(tmp_path / f"{mark}.bin", mark) for mark in range(4)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        contents = pool.map(write_many, jobs, chunksize=1)
    assert contents == [bytes([mark]) * 4096 for _, mark in jobs]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n}.bin" for n in range(4)]


def test_temporary_names_do_not_depend_on_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getpid", lambda: 1)
    target = tmp_path / ("a" * 255)  # the longest name that there can be
    names = {temporary_path(target) for _ in range(100)}
    assert len(names) == 100
    assert all(path.parent == tmp_path and path.name.endswith(TEMPORARY_SUFFIX) for path in names)
    write_atomically(target, b"whole")


def test_only_abandoned_folders_are_removed(tmp_path):
    fresh, old, grows = (temporary_path(tmp_path / "out") for _ in range(3))
    other = tmp_path / "photos"
    for folder in (fresh, old, grows, other):
        (folder / "unet").mkdir(parents=True)
        (folder / "unet" / "weights").touch()
    for folder in (old, grows, other):
        for path in (folder / "unet" / "weights", folder / "unet", folder):
            os.utime(path, (0, 0))
    (grows / "unet" / "weights").touch()
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([fresh, grows, other])


def test_only_a_runs_own_temporary_files_are_removed(tmp_path):
    ours, theirs = tmp_path / "out.json", tmp_path / "other.json"
    inside = tmp_path / "out.json.parts" / "rank-0" / "x"
    inside.parent.mkdir(parents=True)
    half, kept, within = (temporary_path(target) for target in (ours, theirs, inside))
    for path in (half, kept, within):
        path.write_bytes(b"half")
    remove_temporary_files([ours, tmp_path / "missing" / "a"], [inside.parents[1]])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
