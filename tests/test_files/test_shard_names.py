"""Names of shards and of their results."""

import pickle

import pytest

from trace_mm.files.shard_names import ShardNames, is_shard


def test_what_is_called_like_a_shard():
    assert all(map(is_shard, ["a.tar", "A.TAR", "s3://b/{0..9}.tar", "a.tar.gz", "a.tgz"]))
    assert not any(map(is_shard, ["a", "a.tar.png", "tar", "s3://b/folder/"]))


@pytest.mark.parametrize(
    ("patterns", "root", "names"),
    [
        (["s3://b/x/{00..02}.tar"], "s3://b/x", ["00.tar", "01.tar", "02.tar"]),
        (["s3://b/{t,v}/{0..1}.tar"], "s3://b", ["t/0.tar", "t/1.tar", "v/0.tar", "v/1.tar"]),
        (["s3://b/x/1.tar.gz", "s3://b/y/1.tar"], "s3://b", ["x/1.tar", "y/1.tar"]),
        (["s3://b/x/1.tgz"], "s3://b/x", ["1.tar"]),
        (["/data/a{0..1}.tar"], "/data", ["a0.tar", "a1.tar"]),
        (["/data/sub/a.tar", "/data/b.tar"], "/data", ["sub/a.tar", "b.tar"]),
        (["/a.tar"], "/", ["a.tar"]),
    ],
)
def test_results_are_named_from_the_common_folder(patterns, root, names):
    shards = ShardNames(patterns)
    assert shards.root == root
    assert [shards.name(number) for number in range(len(shards))] == names
    assert [*shards] == shards[:]
    assert shards.nested == ("/" in "".join(names))
    assert [*map(shards.name_of, shards)] == names
    assert pickle.loads(pickle.dumps(shards))[:] == shards[:]


def test_local_names_are_relative_to_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shards = ShardNames(["shards/../{0..1}.tar"])
    assert (shards.root, shards.name(1)) == (tmp_path.as_posix(), "1.tar")
    assert ShardNames(["one.tar"]).root == tmp_path.as_posix()


def test_a_billion_take_no_memory():
    shards = ShardNames(["s3://b/{000000000..999999999}.tar", "s3://b/rest/{a,b}.tar"][:1])
    assert (len(shards), shards.name(123456789)) == (10**9, "123456789.tar")
    assert shards[-1] == "s3://b/999999999.tar"


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([], "there are no shards"),
        (["photos/1.png"], "photos/1.png: shards are called"),
        (["a.tar", "s3://b/a.tar"], "not all local"),
        (["s3://a/1.tar", "s3://b/1.tar"], "no folder in common"),
        (["s3://b/1.tar", "s3://b/1.tar.gz"], "would have the same name"),
    ],
)
def test_what_cannot_be_named(patterns, message):
    with pytest.raises(ValueError, match=message):
        ShardNames(patterns)
