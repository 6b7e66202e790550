"""U2Seg's and COCO's panoptic format."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from trace_mm.refinement.readers import BadMaskError, U2SegReader, open_masks

IMAGES = peer_masks.some_images()
NAMES = list(IMAGES)
SAMPLE = Path(__file__).parents[3] / "shared/data/panoptic_sample"


def test_things_are_read_and_stuff_is_not(tmp_path):
    reader = open_masks(peer_masks.write_u2seg(tmp_path, IMAGES))
    assert type(reader) is U2SegReader
    assert [(record.image, record.image_id) for record in reader.records()] == [
        ("000000000139.jpg", 139),
        ("000000000285.jpg", 285),
    ]
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        instances = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(instances.masks, masks)
        assert (instances.labels == 7).all()
    assert reader.categories[327] == "327"


def test_images_need_not_be_listed_nor_things_told_from_stuff(tmp_path):
    path = peer_masks.write_u2seg(tmp_path, IMAGES)
    content = json.loads(path.read_text())
    del content["images"], content["categories"]
    peer_masks.save(path, content)
    record = open_masks(path).records()[0]
    assert record.image == "000000000139"
    assert open_masks(path).read(record, (12, 17)).labels.tolist() == [7, 7, 7, 303]


def test_images_beside_the_file(tmp_path):
    path = peer_masks.write_u2seg(tmp_path, IMAGES)
    path = path.rename(tmp_path / "cocotrain_300/panoptic.json")
    reader = open_masks(path)
    assert len(reader.read(reader.records()[0], (12, 17))) == 3


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda entry: entry.update(segments_info=3), r"\[0\].segments_info' must be a list"),
        (lambda entry: entry.pop("segments_info"), r"\[0\]: needs a list 'segments_info'"),
        (lambda entry: entry.pop("file_name"), r"\[0\]: file_name must name a file"),
        (lambda entry: entry.update(file_name="../x.png"), r"\[0\]: file_name must name a file"),
        (lambda entry: entry.update(file_name="/x.png"), r"\[0\]: file_name must name a file"),
        (lambda entry: entry.update(file_name="x\0.png"), r"file_name must name a file"),
        (lambda entry: entry.update(file_name="none.png"), r"none\.png: no such file"),
        (lambda entry: entry["segments_info"].insert(0, 3), r"segments_info\[0\]: must be an obj"),
        (lambda entry: entry["segments_info"][0].pop("id"), r"segments_info\[0\]: id must be"),
        (lambda entry: entry["segments_info"][0].update(id=0), r"segments_info\[0\]: id must be"),
        (lambda entry: entry["segments_info"][0].update(category_id=[]), r"category_id must be"),
    ],
)
def test_a_bad_annotation_does_not_hide_the_others(edit, message, tmp_path):
    path = peer_masks.write_u2seg(tmp_path, IMAGES)
    content = json.loads(path.read_text())
    edit(content["annotations"][0])
    content["annotations"].append("x")
    reader = open_masks(peer_masks.save(path, content))
    first, second, third = reader.records()
    with pytest.raises(BadMaskError, match=message):
        reader.read(first, (12, 17))
    assert len(reader.read(second, (20, 10))) == 2
    assert "annotations[2]: must be an object" in third.bad


def test_a_bad_segment_does_not_hide_the_others(tmp_path):
    path = peer_masks.write_u2seg(tmp_path, IMAGES)
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["category_id"] = "cat"
    reader = open_masks(peer_masks.save(path, content))
    causes = []
    instances = reader.read(reader.records()[0], (12, 17), on_bad=causes.append)
    np.testing.assert_array_equal(instances.masks, IMAGES[NAMES[0]][1:])
    assert len(causes) == 1


def test_images_must_be_colours_of_the_right_size(tmp_path):
    path = peer_masks.write_u2seg(tmp_path, IMAGES)
    reader = open_masks(path)
    with pytest.raises(BadMaskError, match=r"139\.png: is \(12, 17\) .*image is \(24, 34\)"):
        reader.read(reader.records()[0], (24, 34))
    Image.new("L", (17, 12)).save(tmp_path / "cocotrain_300/000000000139.png")
    with pytest.raises(BadMaskError, match=r"139\.png: must hold segment ids as RGB"):
        reader.read(reader.records()[0], (12, 17))


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="there is no sample of COCO panoptic here")
def test_real_files_of_coco():
    reader = open_masks(SAMPLE / "panoptic_examples.json")
    content = json.loads((SAMPLE / "panoptic_examples.json").read_text())
    things = {entry["id"] for entry in content["categories"] if entry["isthing"]}
    for record, entry in zip(reader.records(), content["annotations"], strict=True):
        with Image.open(SAMPLE / "panoptic_examples" / entry["file_name"]) as image:
            size = (image.height, image.width)
        instances = reader.read(record, size)
        expected = {
            (segment["category_id"], segment["area"])
            for segment in entry["segments_info"]
            if segment["category_id"] in things and not segment["iscrowd"]
        }
        areas = instances.masks.sum(axis=(1, 2)).tolist()
        assert set(zip(instances.labels.tolist(), areas, strict=True)) == expected
