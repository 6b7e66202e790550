"""Shards, read and written; Python's tarfile and WebDataset see the same."""

import gzip
import io
import json
import re
import subprocess
import sys
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mm.files.shards import Sample, ShardWriter, read_shard

PARTS = st.text(st.sampled_from("abé_-1 "), min_size=1, max_size=4)
KEYS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
KEYS = KEYS.filter(lambda key: not re.match("__.*__(/|$)", key))  # reserved by WebDataset
EXTENSIONS = st.sampled_from(["jpg", "png", "edge.png", "json", "cls"])
FILES = st.dictionaries(EXTENSIONS, st.binary(max_size=2000), min_size=1, max_size=3)
SAMPLES = st.dictionaries(KEYS, FILES, max_size=5)
SOME = {
    "b/1": {"jpg": b"photo", "edge.png": b"edges"},
    "a": {"jpg": b"x" * 3000},
    "long" * 60: {"json": b"{}"},
}


def write(path, samples):
    with ShardWriter(path) as shard:
        for key, files in samples.items():
            shard.add(key, files)
    return path


def read(path):
    return {sample.key: dict(sample.files) for sample in read_shard(path)}


def tar_of(path, members, **options):
    """A tar with these members: (name, bytes), or what tarfile takes instead of a name."""
    with tarfile.open(path, "w", **options) as tar:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(SAMPLES)
def test_what_is_written_is_read(tmp_path, samples):
    path = write(tmp_path / "a.tar", samples)
    assert list(read_shard(path)) == [Sample(key, files) for key, files in samples.items()]
    with tarfile.open(path) as tar:
        found = {name: tar.extractfile(name).read() for name in tar.getnames()}
    assert found == {
        f"{key}.{extension}": data
        for key, files in samples.items()
        for extension, data in files.items()
    }


def test_equal_samples_make_equal_bytes(tmp_path):
    first = write(tmp_path / "a.tar", SOME).read_bytes()
    assert write(tmp_path / "b.tar", SOME).read_bytes() == first
    with tarfile.open(tmp_path / "a.tar") as tar:
        facts = {
            (member.mode, member.mtime, member.uid, member.gid, member.uname, member.gname)
            for member in tar
        }
    assert facts == {(0o644, 0, 0, 0, "", "")}


def test_webdataset_reads_what_we_write(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="comes with the extra test")
    path = write(tmp_path / "a.tar", SOME)
    dataset = webdataset.WebDataset(str(path), shardshuffle=False)
    found = {
        sample["__key__"]: {key: data for key, data in sample.items() if not key.startswith("__")}
        for sample in dataset
    }
    assert found == SOME


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_we_read_what_webdataset_writes(tmp_path, name):
    webdataset = pytest.importorskip("webdataset", reason="comes with the extra test")
    with webdataset.TarWriter(str(tmp_path / name)) as writer:
        for key, files in SOME.items():
            writer.write({"__key__": key, **files})
    assert read(tmp_path / name) == {key: dict(sorted(SOME[key].items())) for key in SOME}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_all_formats_are_read(tmp_path, format):
    members = [("./a/b/1.JPG", b"photo"), ("./a/b/1.txt", b""), (f"{'c/' * 60}d.png", b"x")]
    path = tar_of(tmp_path / "a.tar", members, format=format)
    expected = {"a/b/1": {"jpg": b"photo", "txt": b""}, f"{'c/' * 60}d": {"png": b"x"}}
    assert read(path) == expected
    packed = tmp_path / "b.tar.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed) == expected


def test_folders_hidden_files_and_entries_for_readers_are_passed_over(tmp_path):
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    members = [(folder, b""), ("a/._1.jpg", b"macOS"), ("a/.DS_Store", b""), ("__index__", b"")]
    path = tar_of(tmp_path / "a.tar", [*members, ("a/1.jpg", b"photo"), ("__meta__/1.json", b"")])
    assert read(path) == {"a/1": {"jpg": b"photo"}}


def test_a_shard_may_be_empty(tmp_path):
    assert read(write(tmp_path / "a.tar", {})) == {}


def link(name, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["a.jpg", "b.jpg", "a.png"], "the members of sample 'a' do not stand together"),
        (["a.jpg", "a.jpg"], "sample 'a' has two members 'jpg'"),
        (["a.jpg", "a.JPG"], "sample 'a' has two members 'jpg'"),
        (["a.jpg", "b"], "member 'b' has no extension"),
        (["/etc/a.jpg"], "the name of member '/etc/a.jpg' leads out of the shard"),
        (["b/../../a.jpg"], "the name of member 'b/../../a.jpg' leads out of the shard"),
        ([link("a.jpg", tarfile.SYMTYPE)], "member 'a.jpg' is a link or a device"),
        ([link("a.jpg", tarfile.LNKTYPE)], "member 'a.jpg' is a link or a device"),
        ([link("a.jpg", tarfile.FIFOTYPE)], "member 'a.jpg' is a link or a device"),
    ],
)
def test_bad_members_are_one_line(tmp_path, members, message):
    path = tar_of(tmp_path / "a.tar", [(member, b"") for member in members])
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        read(path)


@pytest.mark.parametrize("packed", [False, True])
def test_no_part_of_a_shard_is_taken_for_all_of_it(tmp_path, packed):
    """Cut anywhere, also between two members, it is an error."""
    whole = write(tmp_path / "a.tar", SOME).read_bytes()
    end = whole.rstrip(b"\0")
    end = len(end) + -len(end) % 512  # what follows are zeros that mark the end
    if packed:
        whole = gzip.compress(whole)
        end = len(whole) - 1
    path = tmp_path / "cut.tar"
    for size in sorted({*range(0, end, 97), *range(0, end + 1, 512), end}):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f"^{path}: not a whole tar file: "):
            read(path)


def test_damage_is_an_error(tmp_path):
    path = write(tmp_path / "a.tar", SOME)
    whole = path.read_bytes()
    for position in (0, 150, 1024, 1024 + 150, 2048 + 10):  # in headers
        path.write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
        with pytest.raises(ValueError, match="not a whole tar file"):
            read(path)
    packed = bytearray(gzip.compress(whole))
    packed[-6] ^= 1  # of the checksum
    path.write_bytes(packed)
    with pytest.raises(ValueError, match="not a whole tar file: CRC check failed"):
        read(path)
    path.write_bytes(whole + whole)
    with pytest.raises(ValueError, match="more data follows its end"):
        read(path)
    path.write_bytes(b"<html>not here</html>" * 100)
    with pytest.raises(ValueError, match="not a whole tar file"):
        read(path)


@pytest.mark.parametrize("key", ["", "/a", "a/../b", "a.b", "a/", "a/.b", ".a", "__a__/b"])
def test_a_key_that_would_not_be_read_is_refused(tmp_path, key):
    with (
        pytest.raises(ValueError, match=r"a\.tar: a shard cannot hold"),
        ShardWriter(tmp_path / "a.tar") as shard,
    ):
        shard.add(key, {"jpg": b""})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", ["", "JPG", "a/b"])
def test_an_extension_that_would_not_be_read_is_refused(tmp_path, extension):
    with pytest.raises(ValueError, match="cannot hold"), ShardWriter(tmp_path / "a.tar") as shard:
        shard.add("a", {extension: b""})


def test_a_sample_is_written_once(tmp_path):
    with (
        pytest.raises(ValueError, match="'a' is there already"),
        ShardWriter(tmp_path / "a.tar") as shard,
    ):
        shard.add("a", {"jpg": b""})
        shard.add("a", {"png": b""})
    assert not list(tmp_path.iterdir())


def test_shards_of_stores(tmp_path):
    write("memory://shards/000.tar", SOME)
    assert read("memory://shards/000.tar") == SOME
    with pytest.raises(FileNotFoundError, match=r"memory://shards/001\.tar: no such file"):
        read("memory://shards/001.tar")


def test_memory_does_not_grow_with_the_shard(tmp_path):
    pytest.importorskip("resource", reason="peak memory is read as POSIX tells it")
    code = f"""
import json, resource
from trace_mm.files.shards import ShardWriter, read_shard
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def through(count):
    with ShardWriter({str(tmp_path / "a.tar")!r}) as shard:
        for number in range(count):
            shard.add(str(number), {{"bin": bytes(100_000)}})
    return sum(len(sample.files["bin"]) for sample in read_shard({str(tmp_path / "a.tar")!r}))
through(20)
before = peak()
size = through(1000)
print(json.dumps([peak() - before, size]))
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    grown, size = json.loads(output)
    assert size == 100_000_000
    assert grown * (1 if sys.platform == "darwin" else 1024) < 5_000_000
