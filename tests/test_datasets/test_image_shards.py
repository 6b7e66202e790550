"""Images in shards are trained on as those in folders are."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.apis.pseudo_edges import fill_pseudo_edges
from trace_mm.datasets import ImageFolder, ImageShards, UnlabelledImageDataset
from trace_mm.files.shard_index import write_index
from trace_mm.files.shards import ShardWriter
from trace_mm.files.stores import put_file

NAMES = ["dog/1", "dog/2", "cat/1", "cat/2", "3"]


@pytest.fixture
def folder(tmp_path):
    """Images in ``images``, and the same in ``000.tar`` and ``001.tar``."""
    rng = np.random.default_rng(0)
    for number in range(2):
        with ShardWriter(tmp_path / f"{number:03d}.tar") as shard:
            for name in NAMES:
                stream = io.BytesIO()
                pixels = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(stream, "PNG")
                path = tmp_path / "images" / f"{number:03d}" / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(stream.getvalue())
                shard.add(name, {"png": stream.getvalue(), "json": b"{}", "edges.png": b""})
    return tmp_path


def by_name(source):
    return {source.name(number): source.read(number) for number in range(len(source))}


def test_shards_hold_the_images_of_a_folder(folder):
    shards = by_name(ImageShards("{000..001}.tar", data_root=str(folder)))
    files = by_name(ImageFolder(str(folder / "images")))
    assert len(shards) == 2 * len(NAMES) and shards.keys() == files.keys()
    for name, image in shards.items():
        assert np.array_equal(image.pixels, files[name].pixels)
        assert image.digest == files[name].digest
        assert image.image_id == name
    assert shards["001/cat/2.png"].path == f"{folder.as_posix()}/001.tar/cat/2.png"


def test_a_cache_filled_from_a_folder_serves_its_shards(folder):
    options = {"size": 8, "pseudo_edges": {"folder": str(folder / "cache")}}
    options["pseudo_edges"]["teacher"] = {"type": "SobelDetector"}
    files = {"type": "ImageFolder", "data_root": str(folder / "images")}
    shards = {"type": "ImageShards", "shards": f"{folder.as_posix()}/{{000..001}}.tar"}
    one, other = (UnlabelledImageDataset(source, **options) for source in (files, shards))
    fill_pseudo_edges(one, lambda image: image.mean(0), show_progress=False)
    assert len(fill_pseudo_edges(other, None, show_progress=False).done) == len(other)
    assert len(fill_pseudo_edges(other, None, show_progress=False).skipped) == len(other)
    edges = {item["data_samples"].image_id: item["data_samples"].pseudo_edges for item in one}
    for item in other:
        assert torch.equal(item["data_samples"].pseudo_edges, edges[item["data_samples"].image_id])
    few = UnlabelledImageDataset(shards, per_class=1)
    assert len(few) == 6  # of each folder in each shard


def test_a_broken_image_is_named_by_its_shard(folder):
    with ShardWriter(folder / "broken.tar") as shard:
        shard.add("a", {"jpg": b"no image"})
    dataset = UnlabelledImageDataset(
        {"type": "ImageShards", "shards": ["broken.tar", "000.tar"], "data_root": str(folder)}
    )
    with pytest.warns(UserWarning, match=r"broken\.tar/a\.jpg: not an image"):
        assert dataset[0]["data_samples"].image_id == "000/dog/1.png"


def test_shards_in_a_store_by_an_index_elsewhere(folder):
    put_file(folder / "000.tar", "memory://photos/train/000.tar")
    put_file(folder / "001.tar", "memory://photos/val/000.tar")
    with pytest.raises(FileNotFoundError, match=r"train/000\.tar\.index: .*tools/index_shards"):
        ImageShards("memory://photos/{train,val}/000.tar")
    write_index("memory://photos/train/000.tar")
    write_index("memory://photos/val/000.tar")
    source = ImageShards("memory://photos/{train,val}/000.tar")
    assert source.name(0) == "train/000/dog/1.png" and len(source) == 2 * len(NAMES)
    assert source.digest(7) == ImageShards(str(folder / "001.tar")).digest(2)
    write_index("memory://photos/train/000.tar", folder / "indexes")
    listed = ImageShards("memory://photos/train/000.tar", index=str(folder / "indexes"))
    assert by_name(listed).keys() == by_name(ImageShards(str(folder / "000.tar"))).keys()


def test_shards_that_are_not_there_or_empty(folder):
    with pytest.raises(FileNotFoundError, match=r"002\.tar: no such file"):
        ImageShards("{000..002}.tar", data_root=str(folder))
    with ShardWriter(folder / "empty.tar") as shard:
        shard.add("a", {"json": b"{}"})
    with pytest.raises(FileNotFoundError, match=r"empty\.tar: no images"):
        ImageShards(str(folder / "empty.tar"))
