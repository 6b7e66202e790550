"""Panoptic VOC 2012, from a small folder in its layout."""

import json

import numpy as np
import pytest

from trace_mm.datasets.converters import (
    convert_voc2012,
    convert_voc2012_panoptic,
    describe_panoptic,
)
from trace_mm.evaluation import score_panoptic_files
from trace_mm.files.coco import decode_rle
from trace_mm.files.palette import semantic_png
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.files.panoptic_file import read_panoptic_file

DOG, PERSON, BACKGROUND = 12, 15, 21
NAMES = "2007_000033", "2011_003003"


@pytest.fixture
def root(tmp_path):
    """Two dogs with a void band between, and two persons in one image; nothing in the other."""
    folder = tmp_path / "VOC2012"
    objects = np.zeros((40, 50), dtype=np.uint8)
    objects[5:25, 2:17] = 1
    objects[5:25, 17:22] = 255
    objects[5:25, 22:37] = 2
    objects[30:38, 40:48] = 5  # values may have gaps
    objects[1:3, 46:48] = 4
    classes = np.select([objects == 255, objects >= 4, objects > 0], [255, PERSON, DOG], 0)
    classes[5, 2] = PERSON  # a stray pixel of the first dog
    classes[39, :10] = DOG  # of no object
    _write(folder, NAMES[0], objects, classes)
    _write(folder, NAMES[1], objects * 0, classes * 0)
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(NAMES))
    return folder


def _write(folder, stem, objects, classes):
    for kind, values in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{stem}.png").write_bytes(semantic_png(values.astype(np.uint8)))


def test_objects_background_and_void(root, tmp_path):
    content = convert_voc2012_panoptic(root, "val", tmp_path / "out", progress=False)
    assert read_panoptic_file(tmp_path / "out" / "panoptic.json") == content
    assert describe_panoptic(content) == "2 images, 4 things, 2 stuff segments, 0 crowds"
    ids = read_panoptic_png(tmp_path / "out" / "panoptic" / f"{NAMES[0]}.png", (40, 50))
    segments = content["annotations"][0]["segments_info"]
    assert {one["id"]: one["category_id"] for one in segments} == {
        1: DOG, 2: DOG, 4: PERSON, 5: PERSON, 6: BACKGROUND,
    }  # fmt: skip
    assert (ids[5:25, 2:17] == 1).all() and ids[0, 0] == 6
    assert (ids[5:25, 17:22] == 0).all(), "255 is void"
    assert (ids[39, :10] == 0).all(), "so is what has a class and belongs to no object"
    assert segments[0]["bbox"] == [2, 5, 15, 20] and segments[0]["area"] == 300
    empty = read_panoptic_png(tmp_path / "out" / "panoptic" / f"{NAMES[1]}.png")
    assert (empty == 1).all()


def test_things_come_first(root, tmp_path):
    categories = convert_voc2012_panoptic(root, "val", tmp_path, progress=False)["categories"]
    assert [entry["id"] for entry in categories] == list(range(1, 22))
    assert [entry["isthing"] for entry in categories] == [1] * 20 + [0]
    assert categories[0]["name"] == "aeroplane" and categories[20]["name"] == "background"


def test_it_is_what_the_instances_are(root, tmp_path):
    content = convert_voc2012_panoptic(root, "val", tmp_path, progress=False)
    instances = convert_voc2012(root, "val", progress=False)
    for ours, theirs in zip(content["images"], instances["images"], strict=True):
        assert ours.items() <= theirs.items()
    ids = read_panoptic_png(tmp_path / "panoptic" / f"{NAMES[0]}.png")
    things = [one for one in content["annotations"][0]["segments_info"] if one["id"] < 6]
    for segment, one in zip(things, instances["annotations"], strict=True):
        assert (decode_rle(one["segmentation"], (40, 50)) == (ids == segment["id"])).all()
        assert one["original_category_id"] == segment["category_id"]
        assert (one["bbox"], one["area"]) == (segment["bbox"], segment["area"])


def test_it_is_perfect_against_itself(root, tmp_path):
    convert_voc2012_panoptic(root, "val", tmp_path, progress=False)
    files = tmp_path / "panoptic.json", tmp_path / "panoptic"
    assert score_panoptic_files(*files, *files).percentages()["PQ"] == 100


@pytest.mark.parametrize(
    "line",
    [
        "{stem}",
        "/JPEGImages/{stem}.jpg /SegmentationClassAug/{stem}.png",
        "JPEGImages/{stem}.jpg",
    ],
)
def test_lists_of_the_augmented_set(root, tmp_path, line):
    listed = root / "ImageSets" / "Segmentation" / "train_aug.txt"
    listed.write_text("\n".join(line.format(stem=stem) for stem in NAMES) + "\n\n")
    content = convert_voc2012_panoptic(root, "train_aug", tmp_path / "out", progress=False)
    assert [image["file_name"] for image in content["images"]] == [f"{stem}.jpg" for stem in NAMES]


def test_missing_maps_are_named(root, tmp_path):
    (root / "SegmentationObject" / f"{NAMES[1]}.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2011_003003\.png"):
        convert_voc2012_panoptic(root, "val", tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "panoptic.json").exists()
    with pytest.raises(FileNotFoundError, match=r"train\.txt"):
        convert_voc2012_panoptic(root, "train", tmp_path / "out", progress=False)


def test_json_is_plain(root, tmp_path):
    content = convert_voc2012_panoptic(root, "val", tmp_path, progress=False)
    assert json.loads(json.dumps(content)) == content
