"""Formats are chosen by name or recognised from the files."""

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from trace_mm.refinement.readers import MASK_FORMATS, open_masks
from trace_mm.registry import MASK_READERS

IMAGES = peer_masks.some_images()


@pytest.mark.parametrize("writer", peer_masks.WRITERS)
def test_each_is_recognised(writer, tmp_path):
    path = peer_masks.WRITERS[writer](tmp_path / "masks", IMAGES)
    reader = open_masks(path, allow_pickle=True)
    by_name = open_masks(path, writer.split()[0], allow_pickle=True)
    assert type(reader) is type(by_name)
    assert len(reader.records()) == len(IMAGES)
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        found = reader.read(record, masks[0].shape)
        assert len(found) == len(masks)
        np.testing.assert_array_equal(found.masks, by_name.read(record, masks[0].shape).masks)


def test_all_formats_are_registered():
    for name, reader in MASK_FORMATS.items():
        assert MASK_READERS.get(name) is reader
    assert MASK_FORMATS["mars"] is MASK_FORMATS["dhr"]


def test_one_object_an_image_is_no_binary_mask(tmp_path):
    """A palette image with ids 0 and 1 is an id map, whatever its name ends with."""
    images = {"a_0": IMAGES["000000000139"][:1], "a_1": IMAGES["000000000285"][:1]}
    reader = open_masks(peer_masks.write_dhr(tmp_path, images, classes=(1,)))
    assert [record.image for record in reader.records()] == ["a_0", "a_1"]


def test_unknown_formats(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder of masks"):
        open_masks(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"one of auto, .*maskcut.*, got 'sam'"):
        open_masks(tmp_path, "sam")
    with pytest.raises(ValueError, match=r"not recognised as masks.*maskcut"):
        open_masks(tmp_path)
    (tmp_path / "masks.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"masks\.json: not recognised"):
        open_masks(tmp_path / "masks.json")
    (tmp_path / "masks.json").write_text("[1")
    with pytest.raises(ValueError, match=r"masks\.json: not valid JSON"):
        open_masks(tmp_path / "masks.json")


def test_tokencut_saves_boxes_only(tmp_path):
    (tmp_path / "preds.pkl").write_bytes(b"")
    for format in ("auto", "tokencut"):
        with pytest.raises(ValueError, match=r"preds\.pkl.*boxes.*no masks.*mask_generators"):
            open_masks(tmp_path / "preds.pkl", format)


def test_files_of_other_kinds_in_a_folder_are_told(tmp_path):
    mask = np.zeros((4, 5), dtype=np.uint8)
    mask[1:3, 1:3] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    for name in ("a.jpg", "b.JPG", "list.txt", ".hidden"):
        (tmp_path / name).touch()
    reader = open_masks(tmp_path)
    told = "3 files not named like masks (.png) passed over (2 .jpg, 1 .txt)"
    assert f"{tmp_path}: {told}" in reader.notes
    assert [record.image for record in reader.records()] == ["a"]
