"""A cache in shards: the same edges, whatever was killed, here and in a store."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from trace_mm.apis.pseudo_edges import fill_pseudo_edges
from trace_mm.datasets import PseudoEdgeCache, UnlabelledImageDataset, packed_entries
from trace_mm.files.stores import put_file

COUNT = 9
TEACHER = {"type": "SobelDetector"}


def make_dataset(folder, cache=None):
    return UnlabelledImageDataset(
        {"type": "ImageFolder", "data_root": str(folder / "images")},
        size=8,
        pseudo_edges={"folder": str(cache or folder / "cache"), "teacher": TEACHER},
    )


def add_images(folder, count, seed):
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(exist_ok=True)
    for n in range(count):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{seed}-{n:02d}.png")


def brightness(image):
    return image.mean(0)


def fill(dataset, predict=brightness):
    return fill_pseudo_edges(dataset, predict, show_progress=False)


def edges_of(dataset):
    return torch.stack([item["data_samples"].pseudo_edges for item in dataset])


def files(folder, pattern):
    return sorted(path.name for path in (folder / "cache").rglob(pattern))


@pytest.fixture
def folder(tmp_path):
    add_images(tmp_path, COUNT, 0)
    fill(make_dataset(tmp_path))
    return tmp_path


def test_packed_entries_are_the_same(folder):
    dataset = make_dataset(folder)
    before = edges_of(dataset)
    assert dataset.pseudo_edges.pack(4) == COUNT
    assert files(folder, "*.tar") == ["000000.tar", "000001.tar", "000002.tar"]
    assert files(folder, "*.png") == [] and not list((folder / "cache").glob("*/[0-9a-f]??"))
    packed = make_dataset(folder)
    assert len(packed.pseudo_edges.packed) == COUNT
    assert torch.equal(edges_of(packed), before)
    assert torch.equal(edges_of(dataset), before)
    loader = DataLoader(packed, batch_size=1, num_workers=2, collate_fn=pseudo_collate)
    loaded = [item["data_samples"][0].pseudo_edges for item in loader]
    assert torch.equal(torch.stack(loaded), before)


def test_what_is_packed_is_not_computed_again(folder):
    make_dataset(folder).pseudo_edges.pack()
    assert len(fill(make_dataset(folder), None).skipped) == COUNT
    for journal in (folder / "cache").rglob("manifest.jsonl"):
        journal.unlink()
    assert len(fill(make_dataset(folder), None).done) == COUNT
    old = (folder / "cache").glob("*/shards/000000.tar")
    content = next(old).read_bytes()
    add_images(folder, 5, 1)
    dataset = make_dataset(folder)
    fill(dataset)
    assert len(files(folder, "*.png")) == 5
    before = edges_of(dataset)
    assert dataset.pseudo_edges.pack() == 5
    assert torch.equal(edges_of(make_dataset(folder)), before)
    (shard,) = (folder / "cache").glob("*/shards/000000.tar")
    assert shard.read_bytes() == content  # it is not written again


def test_a_training_goes_on_while_its_cache_is_packed(folder):
    training = make_dataset(folder)
    before = edges_of(training)
    make_dataset(folder).pseudo_edges.pack(4)
    assert torch.equal(edges_of(training), before)


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("step", ["write_index", "_remove", "written"])
def test_packing_goes_on_after_a_kill(folder, monkeypatch, step):
    before = edges_of(make_dataset(folder))
    undisturbed = folder / "undisturbed"
    shutil.copytree(folder / "cache", undisturbed)
    make_dataset(folder, undisturbed).pseudo_edges.pack(4)
    calls = []

    def killed_later(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        return original(*arguments)

    place = packed_entries if step != "written" else packed_entries.ShardWriter
    name = step if step != "written" else "__exit__"
    original = getattr(place, name)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(place, name, killed_later)
        make_dataset(folder).pseudo_edges.pack(4)
    assert torch.equal(edges_of(make_dataset(folder)), before)
    (next((folder / "cache").glob("*/shards")) / ".0-1.trace-tmp").touch()
    make_dataset(folder).pseudo_edges.pack(4)
    assert files(folder, "*.png") == files(folder, "*.trace-tmp") == []
    assert torch.equal(edges_of(make_dataset(folder)), before)
    shards = (folder / "cache").rglob("shards/*.tar*")
    again = {path.name: path.read_bytes() for path in shards}
    assert again == {path.name: path.read_bytes() for path in undisturbed.rglob("shards/*.tar*")}


def test_damaged_files_are_not_packed(folder):
    cache = make_dataset(folder).pseudo_edges
    damaged = cache.folder / next(cache.folder.glob("*/*.png")).relative_to(cache.folder)
    damaged.write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{damaged.name}: damaged pseudo edges; delete it"):
        cache.pack()
    assert len(files(folder, "*.png")) == COUNT and files(folder, "*.tar") == []


def test_a_damaged_shard_is_one_error(folder):
    make_dataset(folder).pseudo_edges.pack()
    (shard,) = (folder / "cache").rglob("*.tar")
    content = shard.read_bytes()
    shard.write_bytes(content[:600] + bytes(100) + content[700:])
    with pytest.raises(ValueError, match=r"000000\.tar: damaged pseudo edges of .*\.png; delete"):
        edges_of(make_dataset(folder))
    shard.write_bytes(content[:-10240])
    with pytest.raises(ValueError, match=r"000000\.tar\.index: no index of .*000000\.tar as it is"):
        make_dataset(folder)
    Path(f"{shard}.index").unlink()
    with pytest.raises(ValueError, match=r"000000\.tar: not a whole, uncompressed tar file"):
        make_dataset(folder)
    shard.unlink()
    assert len(fill(make_dataset(folder)).done) == COUNT


def test_a_cache_in_a_store(folder):
    local = make_dataset(folder)
    before = edges_of(local)
    local.pseudo_edges.pack(4)
    top = folder / "cache"
    for path in top.rglob("*"):
        if path.is_file():
            put_file(path, f"memory://packed/{path.relative_to(top).as_posix()}")
    shutil.rmtree(top)
    stored = make_dataset(folder, "memory://packed")
    assert torch.equal(edges_of(stored), before)
    with pytest.raises(ValueError, match=r"memory://packed/.*: a cache in a store is read only"):
        fill(stored)
    add_images(folder, 1, 1)
    with pytest.raises(FileNotFoundError, match=r"1-00\.png: its pseudo edges are not in mem"):
        edges_of(make_dataset(folder, "memory://packed"))


def test_a_member_that_is_no_entry_is_refused(tmp_path):
    cache = PseudoEdgeCache(tmp_path, TEACHER)
    with packed_entries.ShardWriter(cache.folder / "shards" / "000000.tar") as shard:
        shard.add("photo", {"jpg": b"x"})
    with pytest.raises(ValueError, match=r"000000\.tar: member 'photo\.jpg' is no entry of a"):
        cache.has(cache.key("digest", None))
