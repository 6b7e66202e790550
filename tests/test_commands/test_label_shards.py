"""``trace-mm refine``, ``panoptic`` and ``merge`` on shards: the labels of a plain run."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from trace_mm.cli import main
from trace_mm.files.shards import ShardWriter, read_shard

SHARDS, SAMPLES = 2, 3


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def _sample(number):
    """Two touching squares, and the mask, map and polygons of both together."""
    pixels = np.full((48, 64, 3), 40, dtype=np.uint8)
    left = 8 + 2 * number
    pixels[12:36, left : left + 16] = (200, 60, 60)
    pixels[12:36, left + 16 : left + 32] = (60, 60, 220)
    semantic = np.zeros((48, 64), dtype=np.uint8)
    semantic[12:36, left : left + 32] = 1
    corners = [left, 12, left + 32, 12, left + 32, 36, left, 36]
    return _png(pixels), _png(semantic), [{"segmentation": [corners], "category_id": 1}]


def _key(number):
    return f"{number // SAMPLES}/{number % SAMPLES:03d}"


@pytest.fixture
def inputs(tmp_path):
    """The same in folders and in shards, with maps and masks in the samples and beside them."""
    numbers = range(SHARDS * SAMPLES)
    images, annotations = [], []
    for number in numbers:
        photo, semantic, masks = _sample(number)
        for folder, data in (("photos", photo), ("maps", semantic)):
            path = tmp_path / f"{folder}/{_key(number)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        images.append({"id": number + 1, "file_name": f"{_key(number)}.png"})
        annotations += [{"id": 1, "image_id": number + 1, **mask} for mask in masks]
    (tmp_path / "masks.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    (tmp_path / "classes.json").write_text(
        json.dumps({"thing_classes": ["square"], "stuff_classes": ["ground"]})
    )
    for shard in range(SHARDS):
        with (
            ShardWriter(tmp_path / f"all/{shard}.tar") as whole,
            ShardWriter(tmp_path / f"masks/{shard}.tar") as beside,
            ShardWriter(tmp_path / f"semantic/{shard}.tar") as maps,
        ):
            for number in range(shard * SAMPLES, (shard + 1) * SAMPLES):
                photo, semantic, masks = _sample(number)
                text = json.dumps(masks).encode()
                members = {"png": photo, "semantic.png": semantic, "masks.json": text}
                whole.add(_key(number), members)
                beside.add(_key(number), {"json": json.dumps({"annotations": masks}).encode()})
                maps.add(_key(number), {"png": semantic})
    return tmp_path


def _run(*arguments, status=0):
    assert main([*map(str, arguments)]) == status


def _parts(path):
    content = json.loads(path.read_text())
    return {key: content[key] for key in ("images", "annotations", "categories")}


@pytest.mark.parametrize("masks", ["all", "masks"])
def test_refined_and_merged_shards_are_the_plain_file(inputs, sobel, masks, capsys):
    shards, masks = inputs / "all/{0..1}.tar", inputs / masks / "{0..1}.tar"
    _run("edges", shards, "--out", inputs / "edges", "--model", sobel)
    edges = inputs / "edges/{0..1}.tar"
    given = ["refine", "--images", shards, "--masks", masks, "--out", inputs / "out"]
    _run(*given, "--edges", edges, "--workers", 2)
    _run("merge", inputs / "out/{0..1}.tar", "--out", inputs / "merged.json")
    assert "annotations of 6 images, 0 images failed" in capsys.readouterr().out
    _run("edges", inputs / "photos", "--out", inputs / "plain-edges", "--model", sobel)
    plain = ["--images", inputs / "photos", "--masks", inputs / "masks.json"]
    plain += ["--edges", inputs / "plain-edges/edges"]
    _run("refine", *plain, "--out", inputs / "plain.json")
    merged = _parts(inputs / "merged.json")
    assert merged == _parts(inputs / "plain.json")
    assert len(merged["annotations"]) >= 6
    _run(*given, "--edges", edges)
    assert "0 shards done (0 images, 0 of them failed), 2 were" in capsys.readouterr().out


@pytest.mark.parametrize("semantic", ["all", "semantic"])
def test_labelled_and_merged_shards_are_the_plain_dataset(inputs, sobel, semantic):
    shards, maps = inputs / "all/{0..1}.tar", inputs / semantic / "{0..1}.tar"
    classes = ["--classes", inputs / "classes.json"]
    given = ["panoptic", "--images", shards, "--semantic", maps, *classes]
    _run(*given, "--out", inputs / "out", "--model", sobel)
    assert {*next(read_shard(inputs / "out/0.tar")).files} == {
        "panoptic.png",
        "semantic.png",
        "json",
    }
    _run("merge", inputs / "out/{0..1}.tar", "--out", inputs / "merged")
    plain = ["--images", inputs / "photos", "--semantic", inputs / "maps", *classes]
    _run("panoptic", *plain, "--out", inputs / "plain", "--model", sobel)
    for file in ("panoptic.json", "instances.json"):
        assert _parts(inputs / "merged" / file) == _parts(inputs / "plain" / file)
    for folder in ("panoptic", "semantic"):
        for number in range(SHARDS * SAMPLES):
            path = f"{folder}/{_key(number)}.png"
            assert (inputs / "merged" / path).read_bytes() == (inputs / "plain" / path).read_bytes()


def test_images_without_masks_and_failures_are_counted(inputs, sobel, capsys):
    photo, _, masks = _sample(0)
    with ShardWriter(inputs / "some/0.tar") as shard:
        shard.add("none", {"png": photo})
        shard.add("torn", {"png": photo[:90], "masks.json": json.dumps(masks).encode()})
        shard.add("empty", {"png": photo, "masks.json": b"[]"})
        shard.add("good", {"png": photo, "masks.json": json.dumps(masks).encode()})
    given = ["refine", "--images", inputs / "some/0.tar", "--masks", inputs / "some/0.tar"]
    _run(*given, "--out", inputs / "out", "--model", sobel, status=1)
    capsys.readouterr()
    _run("merge", inputs / "out/0.tar", "--out", inputs / "merged.json", status=1)
    captured = capsys.readouterr()
    assert "of 2 images, 1 images failed, 1 without labels" in captured.out
    assert "torn.png" in captured.err
    names = [image["file_name"] for image in _parts(inputs / "merged.json")["images"]]
    assert names == ["empty.png", "good.png"]


def test_bad_input_is_one_line(inputs, sobel, capsys):
    shards = inputs / "all/{0..1}.tar"
    refine = ["refine", "--images", shards, "--out", inputs / "out", "--model", sobel]
    cases = [
        ([*refine, "--masks", inputs / "masks/{0..0}.tar"], "are not called like"),
        ([*refine, "--masks", inputs / "masks.json"], "shards are called .tar"),
        ([*refine, "--masks", shards, "--show-dir", "x"], "--show-dir has no effect"),
        ([*refine, "--masks", inputs / "all/{0..1}.tar", "--edges", shards], "needs no model"),
        (["merge", shards, "--out", "x.json"], "all/trace_mm.json: no such file"),
    ]
    for arguments, message in cases:
        _run(*arguments, status=2)
        assert message in capsys.readouterr().err.splitlines()[-1]
    _run("edges", shards, "--out", inputs / "edges", "--model", sobel)
    _run("merge", inputs / "edges/{0..1}.tar", "--out", inputs / "x.json", status=2)
    assert "holds no labels" in capsys.readouterr().err


def test_masks_of_other_samples_fail_the_shard(inputs, sobel, capsys):
    with ShardWriter(inputs / "masks/1.tar") as shard:
        shard.add("other", {"json": b"[]"})
    given = [
        "refine",
        "--images",
        inputs / "all/{0..1}.tar",
        "--masks",
        inputs / "masks/{0..1}.tar",
    ]
    _run(*given, "--out", inputs / "out", "--model", sobel, status=1)
    assert "sample 'other' is not in" in capsys.readouterr().err
    assert [path.name for path in (inputs / "out").glob("*.tar")] == ["0.tar"]
