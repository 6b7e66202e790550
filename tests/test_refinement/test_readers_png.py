"""Masks that are black-and-white PNG files."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter

from tests import peer_masks
from trace_mm.refinement.readers import BadMaskError, BinaryPngReader, DhrReader, open_masks

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


def disc(size=(60, 80)):
    rows, columns = np.indices(size)
    return (rows - 30) ** 2 + (columns - 40) ** 2 < 15**2


def test_soft_rims_are_cut_and_told(tmp_path):
    soft = np.rint(uniform_filter(disc() * 255.0, 3)).astype(np.uint8)
    Image.fromarray(soft).save(tmp_path / "a.png")
    reader = open_masks(tmp_path)
    assert type(reader) is BinaryPngReader
    mask = reader.read(reader.records()[0], (60, 80)).masks[0]
    assert (mask & disc()).sum() / (mask | disc()).sum() > 0.97
    assert any("soft rims" in note and "--format dhr" in note for note in reader.notes)


@pytest.mark.parametrize("order", [1, -1])
def test_black_and_white_with_a_palette(order, tmp_path):
    for number in (0, 1):
        image = Image.fromarray((disc() if order == 1 else ~disc()).astype(np.uint8))
        image.putpalette([0, 0, 0, 255, 255, 255] if order == 1 else [255, 255, 255, 0, 0, 0])
        image.save(tmp_path / f"a_{number}.png")
    reader = open_masks(tmp_path)
    assert type(reader) is BinaryPngReader
    (record,) = reader.records()
    for mask in reader.read(record, (60, 80)).masks:
        np.testing.assert_array_equal(mask, disc())


def test_names_of_images_are_not_split(tmp_path):
    for name in ("frame_001", "frame_002", "shot_1", "shot_2"):
        Image.fromarray(disc()).save(tmp_path / f"{name}.png")
    reader = open_masks(tmp_path)
    images = {"frame_001", "frame_002", "shot"}
    records = reader.records(images.__contains__)
    assert {record.image: len(record.content) for record in records} == {
        "frame_001": 1,
        "frame_002": 1,
        "shot": 2,
    }


@pytest.mark.parametrize("values", [(15, 7), (15, 15)])
def test_grey_maps_of_one_class_each_are_no_masks(values, tmp_path):
    for name, value in zip(("a", "b"), values, strict=True):
        Image.fromarray((disc() * value).astype(np.uint8)).save(tmp_path / f"{name}.png")
    reader = open_masks(tmp_path)
    assert type(reader) is DhrReader
    found = [reader.read(record, (60, 80)).labels.tolist() for record in reader.records()]
    assert found == [[value] for value in values]


def test_masks_that_jpeg_has_spoilt_are_not_recognised(tmp_path):
    file = io.BytesIO()
    Image.fromarray((disc() * 255).astype(np.uint8)).save(file, "JPEG", quality=75)
    Image.open(file).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"not recognised.*a\.png: holds .*stored without loss"):
        open_masks(tmp_path)
