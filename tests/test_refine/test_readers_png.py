"""Masks that are black-and-white PNG files."""

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from trace_mm.refine.readers import BadMaskError, BinaryPngReader, open_masks

IMAGES = peer_masks.some_images()
NAMES = list(IMAGES)


@pytest.mark.parametrize("writer", [peer_masks.write_png, peer_masks.write_png_folders])
def test_both_layouts(writer, tmp_path):
    reader = open_masks(writer(tmp_path, IMAGES))
    assert type(reader) is BinaryPngReader
    assert [record.image for record in reader.records()] == NAMES
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        instances = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(instances.masks, masks)
        assert (instances.labels == 1).all()
        assert instances.scores is None


def test_numbers_count_as_numbers(tmp_path):
    masks = peer_masks.rectangles((3, 12), *((0, column, 3, 1) for column in range(12)))
    reader = open_masks(peer_masks.write_png(tmp_path, {"a": masks}))
    np.testing.assert_array_equal(reader.read(reader.records()[0], (3, 12)).masks, masks)


def test_one_mask_an_image_and_names_that_end_with_digits(tmp_path):
    mask = peer_masks.rectangles((4, 5), (1, 1, 2, 2))[0]
    for name in ("2007_000032", "COCO_val2014_000000000139", "frame", "frame_12"):
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    records = open_masks(tmp_path).records()
    assert {record.image: len(record.content) for record in records} == {
        "2007_000032": 1,
        "COCO_val2014_000000000139": 1,
        "frame": 2,
    }


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGB"])
def test_whatever_black_and_white_is_saved_as(mode, tmp_path):
    mask = peer_masks.rectangles((4, 5), (1, 1, 2, 2))[0]
    if mode == "I;16":
        image = Image.fromarray(mask.astype(np.uint16) * 65535)
    else:
        image = Image.fromarray(mask.astype(np.uint8) * 255).convert(mode)
    image.save(tmp_path / "a_0.png")
    reader = open_masks(tmp_path, "png")
    np.testing.assert_array_equal(reader.read(reader.records()[0], (4, 5)).masks[0], mask)


def test_empty_masks_are_left_out(tmp_path):
    peer_masks.write_png(tmp_path, {"a": np.zeros((2, 4, 5), dtype=bool)})
    reader = open_masks(tmp_path)
    assert reader.read(reader.records()[0], (4, 5)).masks.shape == (0, 4, 5)


def test_a_bad_mask_does_not_hide_the_others(tmp_path):
    peer_masks.write_png(tmp_path, IMAGES)
    Image.fromarray(np.arange(12 * 17, dtype=np.uint8).reshape(12, 17)).save(
        tmp_path / f"{NAMES[0]}_1.png"
    )
    Image.new("RGB", (17, 12), "red").save(tmp_path / f"{NAMES[0]}_3.png")
    reader = open_masks(tmp_path, "png")
    record = reader.records()[0]
    with pytest.raises(BadMaskError, match=r"139_1\.png: a mask must have one value besides 0"):
        reader.read(record, (12, 17))
    causes = []
    instances = reader.read(record, (12, 17), on_bad=lambda error: causes.append(str(error)))
    np.testing.assert_array_equal(instances.masks, IMAGES[NAMES[0]][[0, 2]])
    assert len(causes) == 2
    assert "139_3.png: a mask must be black and white" in causes[1]


def test_masks_of_another_size(tmp_path):
    reader = open_masks(peer_masks.write_png(tmp_path, IMAGES))
    with pytest.raises(BadMaskError, match=r"139_0\.png: is \(12, 17\) .*image is \(24, 34\)"):
        reader.read(reader.records()[0], (24, 34))


def test_a_folder_without_masks(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no PNG file"):
        open_masks(tmp_path, "png")
