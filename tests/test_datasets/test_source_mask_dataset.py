"""A dataset's images with the masks that another method made of them."""

import logging

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from tests.touching_squares import (
    SIZE,
    change_json,
    image_name,
    source_masks,
    square_edges,
    square_ids,
    write_data,
    write_image,
)
from trace_mm.datasets import SourceMaskDataset
from trace_mm.files import Orientation, decode_rle, encode_rle
from trace_mm.refinement import BadMaskError
from trace_mm.structures import InstanceDataSample


@pytest.fixture
def root(tmp_path):
    return write_data(tmp_path, count=3)


def dataset(root, path="masks.json", **options):
    images = {
        "type": "InstanceEdgeDataset",
        "annotation": "coco_instances",
        "data_root": str(root),
        "ann_file": "instances.json",
        "data_prefix": {"img_path": "photos"},
    }
    return SourceMaskDataset(images, {"path": path, **options}, data_root=str(root))


def test_items(root):
    found = dataset(root)
    assert len(found) == 3
    for index in range(3):
        item = found[index]
        sample = item["data_samples"]
        assert isinstance(sample, InstanceDataSample)
        assert item["inputs"].shape == (3, *SIZE)
        assert (sample.image_id, sample.ori_shape) == (index + 1, SIZE)
        np.testing.assert_array_equal(sample.gt_edges, square_edges(index + 1)[None] > 0)
        source = sample.source_instances
        np.testing.assert_array_equal(source.masks, (square_ids(index + 1) > 0)[None])
        assert source.labels.tolist() == [1]
        assert "scores" not in source


def test_masks_that_know_ids_only(root):
    peer_masks.write_cutler_results(root, source_masks(3))
    found = dataset(root, "coco_instances_results.json", format="cutler")
    scores = [found[index]["data_samples"].source_instances.scores.tolist() for index in range(3)]
    assert scores == [[0.9], [0.4], [0.7]]


def test_ids_are_those_of_the_dataset_and_not_numbers_in_names(root):
    """Image 3 has the file name 000000000009.png."""
    (root / "photos" / f"{image_name(3)}.png").rename(root / "photos" / f"{image_name(9)}.png")
    change_json(
        root / "instances.json",
        lambda content: content["images"][2].update(file_name=f"{image_name(9)}.png"),
    )
    peer_masks.write_cutler_results(root, {image_name(3): source_masks(3)[image_name(3)]})
    found = dataset(root, "coco_instances_results.json", format="cutler")
    assert [len(found[index]["data_samples"].source_instances.labels) for index in range(3)] == [
        0,
        0,
        1,
    ]


def drop_first_image(content):
    number = content["images"].pop(0)["id"]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != number]


def test_images_without_masks_and_masks_without_images(root):
    change_json(root / "instances.json", drop_first_image)
    write_image(root / "photos", 8)
    change_json(
        root / "instances.json",
        lambda content: content["images"].append({"id": 8, "file_name": f"{image_name(8)}.png"}),
    )
    found = dataset(root)
    counts = {}
    for index in range(len(found)):
        sample = found[index]["data_samples"]
        counts[sample.image_id] = sample.source_instances.masks.shape
    assert counts == {2: (1, *SIZE), 3: (1, *SIZE), 8: (0, *SIZE)}


def test_the_warning_says_what_is_left_out(root, monkeypatch):
    change_json(root / "instances.json", drop_first_image)
    said = []
    monkeypatch.setattr(
        "trace_mm.datasets.source_mask_dataset.print_log", lambda *text: said.append(text)
    )
    dataset(root)
    ((text, _, level),) = said
    assert level == logging.WARNING
    assert "masks.json: 1 of 3 records are of no image of the dataset" in text
    assert image_name(1) in text


def test_errors(root):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        dataset(root, "none.json")
    peer_masks.write_maskcut(root / "other", {"7": source_masks(1)[image_name(1)]})
    with pytest.raises(ValueError, match=r"masks of none of the images.*photos/7\.jpg"):
        dataset(root, "other")
    with pytest.raises(BadMaskError, match=r"masks\.json.*\(40, 32\).*image is \(32, 40\)"):
        change_json(root / "masks.json", turn_second)
        dataset(root)[1]


def turn_second(content):
    content["annotations"][1]["segmentation"]["size"].reverse()


def store_sideways(root):
    """The photos, stored as EXIF orientation 6 turns them upright."""
    for path in (root / "photos").iterdir():
        tags = Image.Exif()
        tags[0x0112] = 6
        pixels = np.ascontiguousarray(np.rot90(np.asarray(Image.open(path))))
        Image.fromarray(pixels).save(path, exif=tags)


@pytest.mark.parametrize("truth_is_upright", [True, False])
@pytest.mark.parametrize("masks_are_upright", [True, False])
def test_masks_are_turned_to_the_photo_as_its_annotation_has_it(
    root, truth_is_upright, masks_are_upright
):
    """Who made the masks may have turned photos where who annotated them has not."""
    store_sideways(root)
    ids = square_ids(1) if truth_is_upright else np.rot90(square_ids(1))
    turn_masks(root / "instances.json", truth_is_upright)
    turn_masks(root / "masks.json", masks_are_upright)
    item = dataset(root)[0]
    sample = item["data_samples"]
    assert sample.orientation == Orientation(6, upright=truth_is_upright)
    assert item["inputs"].shape[1:] == ids.shape == sample.ori_shape
    np.testing.assert_array_equal(sample.source_instances.masks, (ids > 0)[None])


def turn_masks(path, keep):
    def turn(content):
        for annotation in content["annotations"]:
            mask = decode_rle(annotation["segmentation"], SIZE)
            annotation["segmentation"] = encode_rle(np.rot90(mask))

    if not keep:
        change_json(path, turn)
