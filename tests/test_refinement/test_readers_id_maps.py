"""Folders with an id map for each image: DHR and MARS, VOC, CUPS."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from trace_mm.files.palette import voc_palette
from trace_mm.refinement.readers import BadMaskError, CupsReader, DhrReader, VocReader, open_masks

IMAGES = peer_masks.some_images()
NAMES = list(IMAGES)


def test_semantic_masks_of_dhr(tmp_path):
    (tmp_path / "000000000999.pt").write_bytes(b"what an interrupted run leaves behind")
    reader = open_masks(peer_masks.write_dhr(tmp_path, IMAGES))
    assert type(reader) is DhrReader
    assert [record.image for record in reader.records()] == NAMES
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        instances = reader.read(record, masks[0].shape)
        by_label = dict(zip(instances.labels.tolist(), instances.masks, strict=True))
        expected = dict(zip((15, 2, 20), masks, strict=False))
        assert by_label.keys() == expected.keys()
        assert list(by_label) == sorted(by_label)
        for label, mask in expected.items():
            np.testing.assert_array_equal(by_label[label], mask)
        assert instances.scores is None


def test_void_is_no_class(tmp_path):
    ids = np.full((4, 5), 255, dtype=np.uint8)
    peer_masks.save_palette(tmp_path / "a.png", ids)
    reader = open_masks(tmp_path, "mars")
    assert len(reader.read(reader.records()[0], (4, 5))) == 0


@pytest.mark.parametrize("root", [True, False])
def test_objects_of_voc_with_their_classes(root, tmp_path):
    folder = peer_masks.write_voc(tmp_path, IMAGES)
    reader = open_masks(tmp_path if root else folder)
    assert type(reader) is VocReader
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        expected = masks.copy()
        expected[:, -1] = False  # void
        instances = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(instances.masks, expected)
        assert instances.labels.tolist() == [15, 2, 20][: len(masks)]


def test_numbered_objects_without_classes(tmp_path):
    folder = shutil.move(peer_masks.write_voc(tmp_path, IMAGES), tmp_path / "objects")
    reader = open_masks(folder)
    assert type(reader) is VocReader
    assert reader.read(reader.records()[0], (12, 17)).labels.tolist() == [1, 1, 1]


def test_voc_and_dhr_find_the_same_masks(tmp_path):
    folder = peer_masks.write_dhr(tmp_path, IMAGES)
    for name, masks in IMAGES.items():
        found = []
        for reader in (open_masks(folder, "dhr"), open_masks(folder, "voc")):
            (record,) = (record for record in reader.records() if record.image == name)
            found.append(reader.read(record, masks[0].shape).masks)
        np.testing.assert_array_equal(*found)


def test_cups(tmp_path):
    names = {f"aachen_000000_{name[-6:]}_leftImg8bit": masks for name, masks in IMAGES.items()}
    reader = open_masks(peer_masks.write_cups(tmp_path, names))
    assert type(reader) is CupsReader
    assert [record.image for record in reader.records()] == list(names)
    for record, masks in zip(reader.records(), names.values(), strict=True):
        instances = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(instances.masks, masks)
        assert instances.labels.tolist() == [11, 0, 13][: len(masks)]


@pytest.mark.parametrize("scale", [1.6, 2, 3])
def test_cups_works_on_smaller_images(scale, tmp_path):
    """Cityscapes is 1024x2048, and 640x1280 in CUPS, which is a scale of 0.625."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 3, (40, 80))
    masks = np.stack([ids == 1, ids == 2])
    reader = open_masks(peer_masks.write_cups(tmp_path, {"a": masks}))
    size = (round(40 * scale), round(80 * scale))
    instances = reader.read(reader.records()[0], size)
    assert instances.size == size
    for mask, small in zip(instances.masks, masks, strict=True):
        for row in range(0, size[0], 3):
            for column in range(0, size[1], 3):
                there = small[int((row + 0.5) / scale), int((column + 0.5) / scale)]
                assert mask[row, column] == there


def test_cups_crops_kitti(tmp_path):
    reader = open_masks(peer_masks.write_cups(tmp_path, IMAGES))
    with pytest.raises(BadMaskError, match=r"000000000139.*\(12, 17\).*\(13, 17\)"):
        reader.read(reader.records()[0], (13, 17))


def test_cups_without_its_pair(tmp_path):
    peer_masks.write_cups(tmp_path, IMAGES)
    (tmp_path / "000000000139_semantic.png").unlink()
    reader = open_masks(tmp_path)
    with pytest.raises(BadMaskError, match=r"139_semantic\.png: no such file"):
        reader.read(reader.records()[0], (12, 17))
    assert len(reader.read(reader.records()[1], (20, 10))) == 2


@pytest.mark.parametrize("writer", ["dhr", "voc"])
def test_maps_of_another_size_or_kind(writer, tmp_path):
    reader = open_masks(peer_masks.WRITERS[writer](tmp_path, IMAGES))
    record = reader.records()[0]
    with pytest.raises(BadMaskError, match=r"139\.png: is \(12, 17\) .*image is \(17, 12\)"):
        reader.read(record, (17, 12))
    Image.new("RGBA", (17, 12)).save(record.content)
    with pytest.raises(BadMaskError, match=r"139\.png: holds transparent pixels \(RGBA\)"):
        reader.read(record, (12, 17))
    record.content.write_bytes(b"no image")
    with pytest.raises(BadMaskError, match=r"139\.png: not an image"):
        reader.read(record, (12, 17))


@pytest.mark.parametrize("name", ["dhr", "voc", "cups"])
def test_folders_without_maps(name, tmp_path):
    with pytest.raises(ValueError, match="no "):
        open_masks(tmp_path, name)


def squares(values, cell=9):
    """A map (H, W) of squares of ids in a row."""
    ids = np.zeros((cell + 2, cell * len(values) + 2), dtype=np.int32)
    for index, value in enumerate(values):
        ids[1:-1, 1 + index * cell : 1 + (index + 1) * cell] = value
    return ids


def read_one(folder, ids, format="auto"):
    reader = open_masks(folder, format)
    return reader, reader.read(reader.records()[0], ids.shape)


def test_300_objects_of_a_deep_map(tmp_path):
    ids = np.repeat(np.repeat(np.arange(301).reshape(7, 43), 4, 0), 4, 1)
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "a.png")
    reader, instances = read_one(tmp_path, ids)
    assert type(reader) is VocReader
    assert len(instances) == 300
    np.testing.assert_array_equal(instances.masks[254], ids == 255)


@pytest.mark.parametrize("divisor, first", [(1000, 0), (256, 1)])
def test_ids_of_class_and_number(divisor, first, tmp_path):
    numbers = [26 * divisor + first, 26 * divisor + first + 1, 24 * divisor + first, 7, 11]
    ids = squares(numbers)
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "a.png")
    reader, instances = read_one(tmp_path, ids)
    assert type(reader) is VocReader
    assert instances.labels.tolist() == [24, 26, 26]
    np.testing.assert_array_equal(instances.masks[0], ids == 24 * divisor + first)
    assert any(f"class * {divisor} + number" in note for note in reader.notes)


def test_numbers_of_kitti_count_from_one(tmp_path):
    ids = squares([26 * 256, 26 * 256 + 1, 24 * 256 + 1])
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "a.png")
    assert read_one(tmp_path, ids)[1].labels.tolist() == [24, 26]


def test_voc_classes_without_their_palette(tmp_path):
    ids = squares([15, 2, 7])
    Image.fromarray(voc_palette()[ids]).save(tmp_path / "a.png")
    Image.fromarray(voc_palette()[np.where(ids == 7, 7, 0)]).save(tmp_path / "b.png")  # all grey
    reader = open_masks(tmp_path)
    assert type(reader) is DhrReader
    first, second = (reader.read(record, ids.shape).labels.tolist() for record in reader.records())
    assert (first, second) == ([2, 7, 15], [7])


def test_objects_as_colors(tmp_path):
    ids = squares([1234, 70321, 5])
    peer_masks.save_colors(tmp_path / "a.png", ids)
    reader, instances = read_one(tmp_path, ids)
    assert type(reader) is VocReader
    assert len(instances) == 3


@pytest.mark.parametrize("save", [lambda ids: ids, lambda ids: np.stack([ids] * 3, axis=2)])
def test_grey_maps_of_classes(save, tmp_path):
    ids = squares([15, 2, 7])
    Image.fromarray(save(ids).astype(np.uint8)).save(tmp_path / "a.png")
    reader, instances = read_one(tmp_path, ids)
    assert type(reader) is DhrReader
    assert instances.labels.tolist() == [2, 7, 15]


def test_what_was_taken_is_told(tmp_path):
    ids = squares([1, 2, 3])
    Image.fromarray(ids.astype(np.uint8)).save(tmp_path / "a.png")
    reader, _ = read_one(tmp_path, ids)
    (note,) = reader.notes
    assert note.startswith(f"{tmp_path}: taken for numbers of objects; ")
    assert note.endswith("say --format dhr")
    reader, instances = read_one(tmp_path, ids, "dhr")
    assert not reader.notes
    assert instances.labels.tolist() == [1, 2, 3]


def test_pictures_are_no_maps(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.png")
    reader = open_masks(tmp_path, "dhr")
    with pytest.raises(BadMaskError, match=r"a\.png: holds \d+ values, most of them as specks"):
        reader.read(reader.records()[0], (20, 30))
