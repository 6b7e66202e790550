"""Files of a real S3 server, and what becomes of them when it fails."""

import os
import pickle
import subprocess
import sys
from functools import partial
from random import Random

import fsspec
import pytest

from tests.s3_server import FaultyProxy, fail_fast
from trace_mm.files import retries, stores
from trace_mm.files.shard_index import read_member, shard_members, write_index
from trace_mm.files.shards import ShardWriter, read_shard
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

DATA = bytes(range(256)) * 40  # 10,240 bytes
FAULTS = [503, 500, 502, 429, "reset", "cut", "short"]


@pytest.fixture
def s3(s3_server: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """The server without faults; we try again three times and at once, botocore does not."""
    s3_server.faults.clear()
    s3_server.requests.clear()
    monkeypatch.setattr(retries, "_said", set())
    fail_fast(monkeypatch, tries=3)
    return s3_server


def test_what_is_put_is_there(s3, tmp_path):
    put_bytes("s3://bucket/a/1.bin", DATA)
    (tmp_path / "2.bin").write_bytes(b"two")
    put_file(tmp_path / "2.bin", "s3://bucket/a/2.bin")
    put_bytes("s3://bucket/a/b/3.bin", b"")
    assert read_bytes("s3://bucket/a/1.bin") == DATA
    assert read_bytes("s3://bucket/a/b/3.bin") == b""
    assert list_files("s3://bucket/a") == {"1.bin": len(DATA), "2.bin": 3}
    assert list_files("s3://bucket/a/", subfolders=True) == {
        "1.bin": len(DATA),
        "2.bin": 3,
        "b/3.bin": 0,
    }
    assert list_files("s3://bucket/none") == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_removed_is_gone(s3, fault):
    put_bytes("s3://bucket/gone.bin", DATA)
    s3.faults.append(("DELETE", fault))
    remove_file("s3://bucket/gone.bin")
    assert state_of("s3://bucket/gone.bin") is None
    remove_file("s3://bucket/gone.bin")


def test_a_file_is_there_or_not(s3):
    assert state_of("s3://bucket/new.bin") is None
    put_bytes("s3://bucket/new.bin", b"one")
    one = state_of("s3://bucket/new.bin")
    put_bytes("s3://bucket/new.bin", b"two")
    two = state_of("s3://bucket/new.bin")
    assert one.size == two.size == 3
    assert one.version != two.version
    put_bytes("s3://bucket/folder/x", b"")
    assert state_of("s3://bucket/folder") is None
    with pytest.raises(IsADirectoryError, match="s3://bucket/folder: a folder"):
        open_stream("s3://bucket/folder")


def test_what_others_have_written_is_seen(s3):
    """s3fs answers from listings; ours are never old."""
    put_bytes("s3://bucket/c/1.bin", b"one")
    assert list_files("s3://bucket/c") == {"1.bin": 3}
    other = fsspec.filesystem("s3", skip_instance_cache=True)
    other.pipe("bucket/c/1.bin", b"longer")
    other.pipe("bucket/c/2.bin", b"two")
    assert state_of("s3://bucket/c/1.bin").size == 6
    assert read_bytes("s3://bucket/c/1.bin") == b"longer"
    assert list_files("s3://bucket/c") == {"1.bin": 6, "2.bin": 3}


@pytest.mark.parametrize("address", ["s3://bucket/missing.bin", "s3://nobody/missing.bin"])
def test_what_is_missing_is_one_line(s3, address):
    with pytest.raises(FileNotFoundError) as caught:
        read_bytes(address)
    assert str(caught.value) == f"{address}: no such file"


def test_a_missing_bucket_is_not_an_empty_one(s3):
    with pytest.raises(FileNotFoundError, match=r"s3://nobody/out/1\.tar: cannot be written: .*"):
        put_bytes("s3://nobody/out/1.tar", b"x")
    with pytest.raises(FileNotFoundError, match="s3://nobody/out: cannot be listed"):
        list_files("s3://nobody/out")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("block", [1 << 20, 1000])
def test_reading_goes_on_after_a_fault(s3, monkeypatch, capsys, fault, block):
    monkeypatch.setattr(stores, "BLOCK", block)
    put_bytes("s3://bucket/d.bin", DATA)
    s3.faults += [("GET", fault), ("GET", fault)]
    with open_stream("s3://bucket/d.bin") as stream:
        assert b"".join(iter(lambda: stream.read(777), b"")) == DATA
    assert not s3.faults
    s3.faults += [("GET", fault)]
    assert read_bytes("s3://bucket/d.bin") == DATA
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # however often it failed
    assert lines[0].startswith("note: s3://bucket/d.bin: ")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("block", [1 << 20, 1000])
def test_reading_that_never_works_is_one_clear_error(s3, monkeypatch, fault, block):
    monkeypatch.setattr(stores, "BLOCK", block)
    put_bytes("s3://bucket/d.bin", DATA)
    s3.faults += [("GET", fault)] * (3 if fault != "reset" else 6)  # aiohttp tries that again
    with pytest.raises(
        OSError, match=r"^s3://bucket/d\.bin: cannot be read: .+ \(tried 3 times\)$"
    ):
        read_bytes("s3://bucket/d.bin")
    assert not s3.faults


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_server_that_hangs_is_asked_again(s3, method):
    put_bytes("s3://bucket/e.bin", DATA)
    s3.faults += [(method, "hang")]
    assert read_bytes("s3://bucket/e.bin") == DATA


@pytest.mark.parametrize("fault", [503, 500, "reset"])
def test_the_state_of_a_file_is_asked_again(s3, fault):
    put_bytes("s3://bucket/f.bin", DATA)
    s3.faults += [("HEAD", fault)] * 2
    assert state_of("s3://bucket/f.bin").size == len(DATA)
    s3.faults += [("HEAD", fault)] * (3 if fault != "reset" else 6)
    with pytest.raises(OSError, match=r"f\.bin: cannot be read"):
        state_of("s3://bucket/f.bin")  # and not None, as if there were no such file


@pytest.mark.parametrize("fault", [503, 500, "reset", "hang"])
def test_writing_goes_on_after_a_fault(s3, fault):
    s3.faults += [("PUT", fault)]
    put_bytes("s3://bucket/g.bin", DATA)
    assert read_bytes("s3://bucket/g.bin") == DATA


def test_writing_that_never_works_leaves_what_was_there(s3):
    put_bytes("s3://bucket/h.bin", b"before")
    s3.faults += [("PUT", 503)] * 3
    with pytest.raises(OSError, match=r"^s3://bucket/h\.bin: cannot be written: .*tried 3 times"):
        put_bytes("s3://bucket/h.bin", b"after")
    assert read_bytes("s3://bucket/h.bin") == b"before"


def test_listing_goes_on_after_a_fault(s3):
    put_bytes("s3://bucket/i/1.bin", b"one")
    s3.faults += [("GET", 503), ("GET", "reset")]
    assert list_files("s3://bucket/i") == {"1.bin": 3}
    s3.faults += [("GET", 503)] * 3
    with pytest.raises(OSError, match=r"s3://bucket/i: cannot be listed"):
        list_files("s3://bucket/i")


def test_what_is_not_written_to_its_end_is_not_there(s3):
    with pytest.raises(ValueError, match="half"), stored_whole("s3://bucket/j.bin") as stream:
        stream.write(DATA)
        raise ValueError("half")
    assert state_of("s3://bucket/j.bin") is None
    assert ("PUT", "/bucket/j.bin") not in s3.requests


@pytest.mark.parametrize("after", [DATA[::-1], DATA[:1500], DATA + DATA])
def test_two_files_of_one_name_are_not_mixed(s3, monkeypatch, after):
    monkeypatch.setattr(stores, "BLOCK", 1000)
    put_bytes("s3://bucket/k.bin", DATA)
    with open_stream("s3://bucket/k.bin") as stream:
        stream.read(10)
        put_bytes("s3://bucket/k.bin", after)
        with pytest.raises(OSError, match=r"s3://bucket/k\.bin: (changed|cannot be read)"):
            stream.read()


@pytest.mark.parametrize("before", [b"", b"short"])
def test_a_file_that_grows_before_it_is_read_is_not_cut(s3, before):
    put_bytes("s3://bucket/k.bin", before)
    with open_stream("s3://bucket/k.bin") as stream:
        put_bytes("s3://bucket/k.bin", DATA)
        with pytest.raises(OSError, match=r"the store sent .* bytes where it has"):
            stream.read()


def test_whatever_fails_what_is_read_is_what_was_written(s3, monkeypatch):
    """Of any request, each sixth fails in some way."""
    random = Random(0)
    kinds = [503, 500, 429, "reset", "cut", "short"]
    fault = partial(random.choice, kinds)
    monkeypatch.setattr(
        s3, "take_fault", lambda method: fault() if random.random() < 1 / 6 else None
    )
    monkeypatch.setattr(stores, "BLOCK", 3000)
    right = 0
    for number in range(30):
        address, data = (
            f"s3://bucket/o/{number % 3}.tar",
            random.randbytes(random.randrange(20_000)),
        )
        try:
            with ShardWriter(address) as shard:
                shard.add("a", {"bin": data})
            assert [sample.files for sample in read_shard(address)] == [{"bin": data}]
            right += 1
        except OSError as error:
            assert str(error).startswith(f"{address}: ")
    assert right > 7


def test_without_keys_it_is_one_line(s3, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    system = type(fsspec.filesystem("s3"))
    system.clear_instance_cache()
    with pytest.raises(OSError, match=r"^s3://bucket/a: cannot be read: Unable to locate credent"):
        read_bytes("s3://bucket/a")
    system.clear_instance_cache()


def test_requests_are_few(s3):
    put_bytes("s3://bucket/l.bin", DATA)
    assert [method for method, _ in s3.requests] == ["PUT", "HEAD"]
    s3.requests.clear()
    read_bytes("s3://bucket/l.bin")
    assert [method for method, _ in s3.requests] == ["HEAD", "GET"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_reads_on_its_own(s3):
    put_bytes("s3://bucket/m.bin", DATA)  # this process has an event loop now
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, pickle.dumps(read_bytes("s3://bucket/m.bin") == DATA))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pickle.load(pipe) is True
    os.waitpid(child, 0)
    assert read_bytes("s3://bucket/m.bin") == DATA  # the child has not harmed its parent's loop


def test_other_processes_find_the_store_by_the_environment(s3):
    put_bytes("s3://bucket/n.bin", DATA)
    code = """
from trace_mm.files.stores import read_bytes
print(len(read_bytes("s3://bucket/n.bin")))
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output == f"{len(DATA)}\n"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_member_of_a_shard_is_read_by_one_request(s3, fault):
    with ShardWriter("s3://bucket/members.tar") as shard:
        shard.add("a", {"bin": DATA * 3})
        shard.add("b", {"bin": DATA})
    write_index("s3://bucket/members.tar")
    member = shard_members("s3://bucket/members.tar")[1]
    s3.requests.clear()
    assert read_member("s3://bucket/members.tar", member) == DATA
    assert len(s3.requests) == 1
    s3.faults.append(("GET", fault))
    assert read_member("s3://bucket/members.tar", member) == DATA
    put_bytes("s3://bucket/members.tar", DATA)
    with pytest.raises(OSError, match=r"s3://bucket/members\.tar: cannot be read"):
        read_member("s3://bucket/members.tar", member)
