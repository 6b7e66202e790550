"""Files of stores that need no S3 server: local, in memory, where names can change, the web."""

import os
import stat
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tests.s3_server import served
from trace_mm.files import TEMPORARY_SUFFIX, retries, stores
from trace_mm.files.addresses import is_address, join_address, local_path, name_in
from trace_mm.files.store_leftovers import remove_leftovers
from trace_mm.files.stores import (
    list_files,
    open_stream,
    put_bytes,
    put_file,
    read_bytes,
    remove_file,
    state_of,
    stored_whole,
)

DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(retries, "WAITS", (0.0, 0.0))


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A file system with renames, as SFTP and HDFS are, whose writes can be made to fail."""

    class Shared(DirFileSystem):
        protocol = "shared"
        cachable = False
        fails = 0
        mv = DirFileSystem.mv

        def __init__(self):
            super().__init__(path=str(tmp_path), fs=LocalFileSystem())

        def put_file(self, lpath, rpath, **kwargs):
            super().put_file(lpath, rpath, **kwargs)
            if Shared.fails:
                Shared.fails -= 1
                (tmp_path / rpath).write_bytes(b"half")
                raise ConnectionResetError("the line is dead")

    fsspec.register_implementation("shared", Shared, clobber=True)
    return Shared


@pytest.fixture(params=["path", "file", "memory", "shared"])
def folder(request, tmp_path, shared):
    """A folder by each kind of address."""
    MemoryFileSystem.store.clear()
    return {
        "path": str(tmp_path / "out"),
        "file": f"file://{tmp_path}/out",
        "memory": "memory://out",
        "shared": "shared://out",
    }[request.param]


def test_what_is_put_is_there(folder, tmp_path):
    (tmp_path / "2.bin").write_bytes(b"two")
    put_bytes(join_address(folder, "1.bin"), b"before")
    put_bytes(join_address(folder, "1.bin"), DATA)
    put_file(tmp_path / "2.bin", join_address(folder, "2.bin"))
    with stored_whole(join_address(folder, "a/b", "3.bin")) as stream:
        stream.write(b"thr")
        stream.write(b"ee")
    assert read_bytes(join_address(folder, "1.bin")) == DATA
    assert read_bytes(join_address(folder, "a", "b", "3.bin")) == b"three"
    with open_stream(join_address(folder, "1.bin")) as stream:
        assert stream.read(1000) == DATA[:1000]
        assert stream.read() == DATA[1000:]
        assert stream.read() == b""
    assert list_files(folder) == {"1.bin": len(DATA), "2.bin": 3}
    every = {"1.bin": len(DATA), "2.bin": 3, "a/b/3.bin": 5}
    assert list_files(folder, subfolders=True) == every


def test_what_is_removed_is_gone(folder):
    put_bytes(join_address(folder, "1.bin"), DATA)
    for _ in range(2):  # the second time there is nothing to remove
        remove_file(join_address(folder, "1.bin"))
        assert state_of(join_address(folder, "1.bin")) is None


def test_the_state_changes_with_the_file(folder):
    address = join_address(folder, "1.bin")
    assert state_of(address) is None
    assert list_files(folder) == {}
    put_bytes(address, b"one")
    one = state_of(address)
    put_bytes(address, b"three")
    assert (one.size, state_of(address).size) == (3, 5)
    assert one.version != state_of(address).version != ""
    assert state_of(folder) is None


def test_what_is_missing_is_one_line(folder):
    with pytest.raises(FileNotFoundError) as caught:
        read_bytes(join_address(folder, "missing.bin"))
    assert str(caught.value) == f"{join_address(folder, 'missing.bin')}: no such file"


def test_what_is_not_written_to_its_end_is_not_there(folder):
    address = join_address(folder, "1.bin")
    put_bytes(address, b"before")
    with pytest.raises(KeyboardInterrupt), stored_whole(address) as stream:
        stream.write(DATA)
        raise KeyboardInterrupt
    assert read_bytes(address) == b"before"
    assert list_files(folder) == {"1.bin": 6}


def test_where_names_can_be_changed_nothing_half_written_is_seen(shared, tmp_path):
    shared.fails = 1
    put_bytes("shared://out/1.bin", DATA)
    assert read_bytes("shared://out/1.bin") == DATA
    shared.fails = 3
    with pytest.raises(
        OSError, match=r"^shared://out/1\.bin: cannot be written: the line is dead \(tried 3 times"
    ):
        put_bytes("shared://out/1.bin", b"after")
    assert read_bytes("shared://out/1.bin") == DATA
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.bin"]


def test_files_that_are_there_are_replaced_where_renames_refuse(shared, monkeypatch, tmp_path):
    move = shared.mv

    def refuses(self, old, new, **kwargs):
        if self.exists(new):
            raise OSError(f"{new}: exists")
        move(self, old, new, **kwargs)

    monkeypatch.setattr(shared, "mv", refuses)
    put_bytes("shared://out/1.bin", b"one")
    put_bytes("shared://out/1.bin", b"two")
    assert read_bytes("shared://out/1.bin") == b"two"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.bin"]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(shared, monkeypatch, tmp_path):
    put_bytes("shared://out/1.bin", b"before")
    move, moved = shared.mv, []

    def breaks(self, old, new, **kwargs):
        if new == "out/1.bin" and not moved.count(old):
            raise OSError(f"{new}: exists")
        moved.append(new)
        move(self, old, new, **kwargs)

    monkeypatch.setattr(shared, "mv", breaks)
    with pytest.raises(OSError, match=r"shared://out/1\.bin: cannot be written"):
        put_bytes("shared://out/1.bin", b"after")
    assert moved.count("out/1.bin") == 1  # put aside, and back
    assert read_bytes("shared://out/1.bin") == b"before"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.bin"]


def test_what_a_crash_left_is_removed_when_nobody_can_be_at_it(shared, tmp_path):
    for place in ("out", "out/sub"):
        put_bytes(f"shared://{place}/1.bin", DATA)
        for name in ("new", "old"):
            hidden = tmp_path / place / f".{name}{TEMPORARY_SUFFIX}"
            hidden.touch()
            os.utime(hidden, (1, 1) if name == "old" else None)
    kept = {"1.bin", f".new{TEMPORARY_SUFFIX}"}
    remove_leftovers("shared://out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*kept, "sub"}
    assert len([*(tmp_path / "out/sub").iterdir()]) == 3
    remove_leftovers("shared://out", subfolders=True)
    assert {path.name for path in (tmp_path / "out/sub").iterdir()} == kept
    remove_leftovers("shared://none")
    remove_leftovers("memory://none")


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(monkeypatch):
    put_bytes("memory://out/a/1.bin", b"one")
    listed = MemoryFileSystem.ls

    def fails(self, path, **kwargs):
        if path.endswith("/a"):
            raise PermissionError("not yours")
        return listed(self, path, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "ls", fails)
    assert list_files("memory://out") == {}
    with pytest.raises(PermissionError, match="memory://out: cannot be listed: not yours"):
        list_files("memory://out", subfolders=True)


def test_local_files_are_written_with_the_usual_rights(tmp_path):
    put_bytes(tmp_path / "1.bin", b"one")
    (tmp_path / "2.bin").write_bytes(b"two")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("1.bin", "2.bin")}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gopher://a/b", "gopher://a/b: fsspec knows no store of the kind gopher://"),
        ("file://elsewhere/b", "file://elsewhere/b: of another machine"),
    ],
)
def test_what_is_no_store_is_one_line(address, message):
    for action in (read_bytes, state_of, list_files, partial(put_bytes, data=b"")):
        with pytest.raises(ValueError, match=message):
            action(address)


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(*arguments, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(ValueError, match=r"s3://b/a: the package for s3:// .* pip.*trace_mm\[s3\]"):
        read_bytes("s3://b/a")
    with (
        pytest.raises(ValueError, match="gs://b/a: the package for gs://"),
        stored_whole("gs://b/a"),
    ):
        pytest.fail("work was done whose result cannot be written")


class Web(SimpleHTTPRequestHandler):
    """Without ranges, as many servers are; fails as the class says."""

    faults: list[int] = []  # noqa: RUF012

    def send_head(self):
        if Web.faults:
            self.send_error(Web.faults.pop(0))
            return None
        return super().send_head()

    def copyfile(self, source, outputfile):
        data = source.read()
        outputfile.write(data[: len(data) // 2] if self.path.startswith("/cut") else data)

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def web(tmp_path):
    """Address of a web server and the folder that it shows."""
    pytest.importorskip("aiohttp", reason="needs the extra s3")
    Web.faults.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Web, directory=str(tmp_path)))
    with served(server):
        yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path


def test_web_servers_are_read_with_and_without_ranges(web, monkeypatch):
    url, folder = web
    monkeypatch.setattr(stores, "BLOCK", 1000)
    (folder / "1.bin").write_bytes(DATA)
    assert read_bytes(f"{url}/1.bin") == DATA
    assert state_of(f"{url}/1.bin").size == len(DATA)
    Web.faults += [503, 503, 503]  # to HEAD, to the GET in its stead, and once more
    assert read_bytes(f"{url}/1.bin") == DATA


def test_failures_of_web_servers_are_one_line(web):
    url, folder = web
    (folder / "cut.bin").write_bytes(DATA)
    with pytest.raises(OSError, match=r"/cut\.bin: cannot be read: .*\(tried 3 times\)"):
        read_bytes(f"{url}/cut.bin")
    with pytest.raises(FileNotFoundError, match=r"/missing\.bin: no such file"):
        read_bytes(f"{url}/missing.bin")
    Web.faults += [503] * 10
    with pytest.raises(OSError, match=r"/cut\.bin: cannot be read: 503, .*tried 3 times"):
        state_of(f"{url}/cut.bin")  # fsspec says of this that there is no such file
    Web.faults[:] = [403, 403]
    with pytest.raises(OSError, match=r"/cut\.bin: cannot be read: 403, "):
        state_of(f"{url}/cut.bin")
    with pytest.raises(OSError, match=r"/new\.bin: cannot be written"):
        put_bytes(f"{url}/new.bin", b"x")


@pytest.mark.parametrize(
    ("address", "is_one", "local"),
    [
        ("s3://bucket/a", True, None),
        ("memory://a", True, None),
        ("file:///a/b%20c", True, "/a/b c"),
        ("photos/a.tar", False, "photos/a.tar"),
        ("C://photos", False, "C:/photos"),
        ("a:b", False, "a:b"),
    ],
)
def test_addresses_and_paths_are_told_apart(address, is_one, local):
    assert is_address(address) is is_one
    found = local_path(address)
    assert (found and found.as_posix()) == local


def test_names_are_joined():
    assert join_address("s3://bucket/a/", "b/c", "d.tar") == "s3://bucket/a/b/c/d.tar"
    assert join_address("memory://", "a") == "memory://a"
    assert join_address("out", "a/b.tar") == "out/a/b.tar"
    assert name_in("s3://bucket/a/b.tar") == name_in("a/b.tar") == "b.tar"
    for part in ("../a", "/a", "a//b", "", "a/."):
        with pytest.raises(ValueError, match="names nothing within s3://bucket"):
            join_address("s3://bucket", part)
