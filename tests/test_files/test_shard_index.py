"""Members of shards, found by an index and read without the others."""

import io
import tarfile

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings

from tests.test_files.test_shards import SAMPLES, write
from trace_mm.files.shard_index import (
    has_index,
    index_address,
    read_member,
    scan_shard,
    shard_members,
    write_index,
)
from trace_mm.files.stores import put_bytes, read_bytes

SOME = {"a/1": {"jpg": b"photo" * 300, "json": b"{}"}, "long" * 60: {"png": b"x" * 3000}}


def contents(shard, folder=None):
    return {one.name: read_member(shard, one) for one in shard_members(shard, folder)}


def expected(samples):
    return {
        f"{key}.{extension}": data
        for key, files in samples.items()
        for extension, data in files.items()
    }


@pytest.fixture
def shard(tmp_path):
    return write(tmp_path / "0.tar", SOME)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=SAMPLES)
def test_each_member_is_read_alone(tmp_path, samples):
    local = write(tmp_path / "0.tar", samples)
    assert contents(local) == expected(samples)
    put_bytes("memory://index/0.tar", local.read_bytes())
    assert write_index("memory://index/0.tar") == len(expected(samples))
    assert contents("memory://index/0.tar") == expected(samples)
    assert list(scan_shard("memory://index/0.tar")) == shard_members("memory://index/0.tar")


def test_shards_of_other_programs(tmp_path):
    with tarfile.open(tmp_path / "gnu.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("./a.jpg", "./" + "é" * 120 + ".jpg", ".hidden.jpg", "__meta__"):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(name[-5:].encode().ljust(700)))
    found = contents(tmp_path / "gnu.tar")
    assert list(found) == ["a.jpg", "é" * 120 + ".jpg"]
    assert found["a.jpg"].startswith(b"a.jpg")


def test_an_index_lies_beside_its_shard_or_in_a_folder(shard, tmp_path):
    assert not has_index(shard)
    write_index(shard, tmp_path / "elsewhere")
    assert not has_index(shard) and has_index(shard, tmp_path / "elsewhere")
    write_index(shard)
    assert index_address(shard) == f"{shard}.index" and has_index(shard)
    assert contents(shard) == contents(shard, tmp_path / "elsewhere") == expected(SOME)


def test_a_shard_in_a_store_needs_an_index(shard):
    put_bytes("memory://bare/0.tar", shard.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"bare/0\.tar\.index: no such .*index_shards\.py"):
        shard_members("memory://bare/0.tar")
    with pytest.raises(FileNotFoundError, match=r"bare/1\.tar: no such file"):
        shard_members("memory://bare/1.tar")


def test_an_index_of_another_file_is_refused(shard):
    write_index(shard)
    size = shard.stat().st_size
    write(shard, {"b": {"jpg": b"other"}})
    assert shard.stat().st_size == size and not has_index(shard)
    write(shard, {"b": {"jpg": b"other" * 3000}})
    with pytest.raises(ValueError, match=r"0\.tar\.index: no index of .*0\.tar as it is now"):
        shard_members(shard)
    write_index(shard)
    assert contents(shard) == {"b.jpg": b"other" * 3000}
    whole = read_bytes(index_address(shard))
    for damage in (b"", b"[]", whole[:-9], whole.splitlines(keepends=True)[0]):
        put_bytes(index_address(shard), damage)
        with pytest.raises(ValueError, match=r"0\.tar\.index: no index"):
            shard_members(shard)


@pytest.mark.parametrize("store", ["local", "memory"])
def test_a_shard_that_was_changed_after_it_was_indexed(shard, store):
    data = shard.read_bytes()
    address = str(shard) if store == "local" else "memory://changed/0.tar"
    put_bytes(address, data)
    first = next(scan_shard(address))
    for damaged in (b"x" * len(data), b"\0" * len(data), data[1024:], data[:1100]):
        put_bytes(address, damaged)
        if store == "memory":
            fsspec.filesystem("memory").invalidate_cache()
        with pytest.raises((ValueError, OSError), match=r"0\.tar: ") as caught:
            read_member(address, first)
        assert "damaged, or another file" in str(caught.value) or store == "memory"


def test_damaged_and_compressed_shards_cannot_be_indexed(shard, tmp_path):
    whole = shard.read_bytes()
    for damaged in (whole[:1500], whole[:3072], b"x" * 2048, b"\x1f\x8b" + whole):
        shard.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"0\.tar: not a whole, uncompressed tar"):
            write_index(shard)
        assert not has_index(shard)
