"""Sources, sizes, mirroring, and images that cannot be read."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from trace_mm.datasets import UnlabelledImageDataset, Visit, VisitSampler, render_scene
from trace_mm.registry import DATASETS

RNG = np.random.default_rng(0)


def save(path, size=(12, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def folder_dataset(root, **options):
    return UnlabelledImageDataset({"type": "ImageFolder", "data_root": str(root)}, **options)


def ids(dataset):
    return [dataset[n]["data_samples"].image_id for n in range(len(dataset))]


def test_folder_and_imagenet_tree(tmp_path):
    pixels = save(tmp_path / "n01" / "b.png")
    save(tmp_path / "n01" / "a.jpg")
    save(tmp_path / "n02" / "a.webp")
    save(tmp_path / "n02" / "deep" / "c.tif")
    (tmp_path / "n02" / "notes.txt").write_text("no image")
    dataset = folder_dataset(tmp_path)
    assert ids(dataset) == ["n01/a.jpg", "n01/b.png", "n02/a.webp", "n02/deep/c.tif"]
    item = dataset[1]
    assert item["inputs"].dtype == torch.float32
    np.testing.assert_array_equal(item["inputs"].permute(1, 2, 0) * 255, pixels)
    sample = item["data_samples"]
    assert sample.img_path == str(tmp_path / "n01" / "b.png")
    assert sample.ori_shape == (12, 16)
    assert "pseudo_edges" not in sample
    assert "replaced" not in sample


def test_a_pattern_leaves_masks_out(tmp_path):
    for name in ("x/images/x.png", "x/masks/1.png", "y/images/y.png"):
        save(tmp_path / name)
    source = {"type": "ImageFolder", "data_root": str(tmp_path), "pattern": "*/images/*"}
    assert ids(UnlabelledImageDataset(source)) == ["x/images/x.png", "y/images/y.png"]
    with pytest.raises(FileNotFoundError, match=r"\(\*\.bmp\): lists no images"):
        UnlabelledImageDataset({**source, "pattern": "*.bmp"})


def test_coco(tmp_path):
    for name in ("x.png", "sub/y.png"):
        save(tmp_path / "images" / name)
    images = [{"id": 9, "file_name": "x.png"}, {"id": 3, "file_name": "sub/y.png"}]
    (tmp_path / "ann.json").write_text(json.dumps({"images": images}))
    source = {"type": "CocoImages", "data_root": str(tmp_path), "ann_file": "ann.json"}
    dataset = UnlabelledImageDataset({**source, "img_path": "images"})
    assert ids(dataset) == ["sub/y.png", "x.png"]
    with pytest.raises(FileNotFoundError, match=r"y\.png.*\(2 of 2 that .*ann\.json"):
        UnlabelledImageDataset({**source, "img_path": "elsewhere"})
    (tmp_path / "ann.json").write_text(json.dumps({"images": [{"id": 1}]}))
    with pytest.raises(ValueError, match=r"ann\.json.*file_name"):
        UnlabelledImageDataset(source)


def test_voc_lists_of_all_kinds(tmp_path):
    for name in ("2007_000001.jpg", "v1.5.jpg", "z.png"):
        save(tmp_path / "JPEGImages" / name)
    lines = "2007_000001\nv1.5  -1\n/JPEGImages/z.png /SegmentationClassAug/z.png\n\n"
    (tmp_path / "list.txt").write_text(lines)
    dataset = UnlabelledImageDataset(
        {"type": "VocImages", "data_root": str(tmp_path), "ann_file": "list.txt"}
    )
    assert ids(dataset) == [f"JPEGImages/{n}" for n in ("2007_000001.jpg", "v1.5.jpg", "z.png")]
    with pytest.raises(FileNotFoundError, match=r"train\.txt: no such list"):
        UnlabelledImageDataset({"type": "VocImages", "data_root": str(tmp_path)})


def test_several_sources_and_scenes(tmp_path):
    save(tmp_path / "a.png")
    scenes = {"type": "SceneImages", "seed": 3, "start": 5, "length": 2, "size": (32, 48)}
    config = {
        "type": "UnlabelledImageDataset",
        "source": [{"type": "ImageFolder", "data_root": str(tmp_path)}, scenes],
        "size": 24,
    }
    dataset = DATASETS.build(config)
    assert ids(dataset) == ["a.png", "scene-3-000005", "scene-3-000006"]
    assert all(dataset[n]["inputs"].shape == (3, 24, 24) for n in range(3))
    whole = UnlabelledImageDataset(scenes)[1]["inputs"]
    expected = render_scene(3, 6, (32, 48)).image
    np.testing.assert_allclose(whole.permute(1, 2, 0) * 255, expected, atol=1e-4)
    with pytest.raises(IndexError, match="3 images"):
        dataset[3]


def test_mirroring_depends_on_the_visit_alone(tmp_path):
    for n in range(6):
        save(tmp_path / f"{n}.png")
    plain, mirrored = folder_dataset(tmp_path), folder_dataset(tmp_path, flip=0.5, seed=1)
    flips = []
    for n in range(6):
        for visit in range(6):
            pixels = mirrored[Visit(n, visit)]["inputs"]
            again = mirrored[Visit(n, visit)]["inputs"]
            assert torch.equal(pixels, again)
            original = plain[n]["inputs"]
            flips.append(bool(torch.equal(pixels, original.flip(2))))
            assert flips[-1] or torch.equal(pixels, original)
    assert 8 < sum(flips) < 28
    with pytest.raises(ValueError, match="VisitSampler"):
        mirrored[0]


def test_unreadable_images_are_replaced_and_named(tmp_path):
    for n in range(4):
        save(tmp_path / f"{n}.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    dataset = folder_dataset(tmp_path)
    (tmp_path / "2.png").unlink()
    with pytest.warns(UserWarning, match=r"1\.png: not an image.*next image takes its place"):
        item = dataset[1]
    assert item["data_samples"].image_id == "3.png"
    first, second = item["data_samples"].replaced
    assert "1.png: not an image" in first
    assert "2.png: no such file" in second
    for n in range(4):
        (tmp_path / f"{n}.png").write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="4 images in a row"):
        dataset[0]


def test_wrong_options(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        folder_dataset(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="lists no images"):
        folder_dataset(tmp_path)
    save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="size must be positive"):
        folder_dataset(tmp_path, size=0)
    with pytest.raises(ValueError, match="probability"):
        folder_dataset(tmp_path, flip=2)
    with pytest.raises(ValueError, match="at least one source"):
        UnlabelledImageDataset([])


@given(size=st.integers(1, 9), skip=st.integers(0, 40), seed=st.integers(0, 3))
def test_any_position_of_the_order_is_reached_directly(size, skip, seed):
    sampler = VisitSampler(range(size), seed=seed)
    order = iter(sampler)
    expected = [next(order) for _ in range(skip + 12)]
    sampler.skip(skip)
    resumed = iter(sampler)
    assert [next(resumed) for _ in range(12)] == expected[skip:]
    for number in range(len(expected) // size):  # each pass visits all, and counts
        one_pass = expected[number * size : (number + 1) * size]
        assert sorted(one_pass) == [Visit(n, number) for n in range(size)]


@given(size=st.integers(1, 7), world=st.integers(1, 4), skip=st.integers(0, 9))
def test_processes_take_turns(size, world, skip):
    whole = iter(VisitSampler(range(size), seed=2))
    expected = [next(whole) for _ in range((skip + 5) * world)][skip * world :]
    parts = []
    for rank in range(world):
        sampler = VisitSampler(range(size), seed=2)
        sampler.rank, sampler.world_size = rank, world
        sampler.skip(skip)
        order = iter(sampler)
        parts.append([next(order) for _ in range(5)])
    assert [visit for turn in zip(*parts, strict=True) for visit in turn] == expected


def test_order_and_mirroring_do_not_depend_on_workers(tmp_path):
    for n in range(5):
        save(tmp_path / f"{n}.png")
    dataset = folder_dataset(tmp_path, flip=0.5)
    batches = []
    for workers in (0, 2):
        loader = DataLoader(
            dataset,
            batch_size=2,
            num_workers=workers,
            sampler=VisitSampler(dataset, seed=0),
            collate_fn=lambda items: torch.stack([item["inputs"] for item in items]),
        )
        batches.append([batch for _, batch in zip(range(6), loader, strict=False)])
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))
