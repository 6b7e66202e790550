"""All files below a folder of a store are found, with their states, or an error says why not."""

from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import ANY

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.s3_server import fail_fast, served
from trace_mm.files import TEMPORARY_SUFFIX, OtherFiles, store_walk
from trace_mm.files.folders import images_in
from trace_mm.files.store_paths import StorePath
from trace_mm.files.store_walk import entries_in, walk_store
from trace_mm.files.stores import put_bytes, state_of


@pytest.fixture
def s3(s3_server, monkeypatch):
    s3_server.faults.clear()
    s3_server.requests.clear()
    fail_fast(monkeypatch, tries=3)
    return s3_server


@pytest.fixture(params=["memory", "s3"])
def top(request):
    """A folder of a store, empty."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    if request.param == "memory":
        return "memory://walked/photos"
    request.getfixturevalue("s3")
    system = fsspec.filesystem("s3")
    if system.exists("bucket/photos"):
        system.rm("bucket/photos", recursive=True)
    return "s3://bucket/photos"


@pytest.mark.parametrize("end", ["", "/"])
def test_files_of_all_folders_are_found_with_their_states(top, end):
    for name in ("b.jpg", "a/2.jpg", "a/1.png", "a/b/c/d e.txt", "a.b/x", "größe.jpg"):
        put_bytes(f"{top}/{name}", name.encode())
    for name in (".hidden.jpg", "a/.DS_Store", ".cache/1.jpg", f"1.jpg{TEMPORARY_SUFFIX}"):
        put_bytes(f"{top}/{name}", b"")
    put_bytes(f"{top}-others/x.jpg", b"")
    found = dict(walk_store(top + end))
    assert sorted(found) == ["a.b/x", "a/1.png", "a/2.jpg", "a/b/c/d e.txt", "b.jpg", "größe.jpg"]
    for name, file in found.items():
        assert file == StorePath(f"{top}/{name}")
        state = state_of(file.address)
        assert file.state == (state if top.startswith("s3") else replace(state, version=ANY))
        assert file.state.version
        assert file.read_bytes() == name.encode()
    assert list(entries_in(top + end)) != []
    others = OtherFiles()
    images = [str(file) for file in images_in(StorePath(top), others)]
    assert sorted(images) == [f"{top}/{name}" for name in sorted(found) if name[-3:] in "jpg png"]
    assert others == {".txt": 1, "": 1}


def test_what_is_not_there_holds_nothing(top):
    assert list(walk_store(top)) == []
    assert entries_in(top) == {}


def test_pages_follow_each_other_whatever_fails(s3, monkeypatch):
    names = [f"{number % 3}/{number:02d}.jpg" for number in range(11)]
    for name in names:
        put_bytes(f"s3://bucket/pages/{name}", name.encode())
    fsspec.filesystem("s3").pipe("bucket/pages/folder/", b"")  # as consoles make folders
    monkeypatch.setattr(store_walk, "PAGE", 3)
    s3.requests.clear()
    s3.faults += [("GET", fault) for fault in (503, "reset", "cut")]
    assert sorted(name for name, _ in walk_store("s3://bucket/pages")) == sorted(names)
    assert not s3.faults
    assert len(s3.requests) >= 4 + 3  # and not one for each file or folder
    s3.faults += [("GET", 503)] * 3
    with pytest.raises(OSError, match=r"^s3://bucket/pages/: cannot be listed: .* \(tried 3 times"):
        list(walk_store("s3://bucket/pages"))


def test_a_missing_bucket_is_not_an_empty_one(s3):
    with pytest.raises(FileNotFoundError, match="s3://nobody/out/: cannot be listed"):
        list(walk_store("s3://nobody/out"))


@pytest.mark.parametrize("name", ["a//b.jpg", "a/../b.jpg", "../b.jpg", "./b.jpg", "x" * 256])
def test_names_that_no_file_can_have_are_refused(s3, name):
    """Object stores take any name, but results of ``../b`` would lie outside their folder."""
    from botocore.session import Session

    client = Session().create_client("s3")  # s3fs would tidy them
    try:
        client.put_object(Bucket="bucket", Key=f"odd/{name}", Body=b"")
        with pytest.raises(ValueError, match=r"^s3://bucket/odd/.*(names no file|at most 255)"):
            list(walk_store("s3://bucket/odd"))
    finally:
        for one in client.list_objects_v2(Bucket="bucket", Prefix="odd/")["Contents"]:
            client.delete_object(Bucket="bucket", Key=one["Key"])


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(monkeypatch):
    put_bytes("memory://walked/a/1.jpg", b"one")
    listed = MemoryFileSystem.ls

    def fails(self, path, **kwargs):
        if path.rstrip("/").endswith("/a"):
            raise PermissionError("not yours")
        return listed(self, path, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, "ls", fails)
    with pytest.raises(PermissionError, match="memory://walked/a/: cannot be listed: not yours"):
        list(walk_store("memory://walked"))


@pytest.fixture
def web(tmp_path):
    """A web server that lists folders, and the folder that it serves."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *arguments):
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with served(server):
        yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path


def test_lists_of_web_servers_tell_no_states(web):
    address, folder = web
    (folder / "photos/sub").mkdir(parents=True)
    for name in ("1.jpg", "sub/2.jpg"):
        (folder / "photos" / name).write_bytes(b"photo")
    found = dict(walk_store(f"{address}/photos/"))
    assert sorted(found) == ["1.jpg", "sub/2.jpg"]
    assert [file.state for file in found.values()] == [None, None]
    assert list(walk_store(f"{address}/none")) == []
