"""Numbers of instances as methods for cells write them: SSA, COIN, HoVer-Net."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests import peer_masks
from trace_mm.files import SizeEvidence
from trace_mm.files.coco import encode_rle
from trace_mm.refinement.readers import BadMaskError, InstanceMapReader, open_masks

IMAGES = peer_masks.some_images()
SIZE = (12, 17)


@pytest.mark.parametrize("format", ["instance_maps", "ssa", "coin"])
@pytest.mark.parametrize(
    "write", [peer_masks.write_coin, peer_masks.write_instance_npy, peer_masks.write_instance_mat]
)
def test_all_kinds_of_files_hold_the_same_masks(tmp_path, write, format):
    (tmp_path / "notes.txt").touch()
    reader = open_masks(write(tmp_path, IMAGES), format)
    assert type(reader) is InstanceMapReader
    assert [record.image for record in reader.records()] == list(IMAGES)
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        found = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(found.masks, masks)
        assert found.labels.tolist() == [1] * len(masks) and found.scores is None
        assert reader.evidence(record) != SizeEvidence()
    (note,) = reader.notes
    assert "1 file not named like masks" in note


def test_no_number_is_void(tmp_path):
    """255 is, in VOC's maps of 8 bits."""
    ids = np.zeros(SIZE, dtype=np.uint8)
    ids[:3], ids[5:8] = 254, 255
    Image.fromarray(ids).save(tmp_path / "a.png")
    reader = open_masks(tmp_path, "coin")
    assert len(reader.read(reader.records()[0], SIZE)) == 2


def test_the_only_array_of_a_mat_file(tmp_path):
    ids = peer_masks.numbered(IMAGES["000000000139"])
    scipy.io.savemat(tmp_path / "a.mat", {"labels": ids, "count": 3})
    reader = open_masks(tmp_path)
    assert [encode_rle(mask) for mask in reader.read(reader.records()[0], SIZE).masks] == [
        encode_rle(mask) for mask in IMAGES["000000000139"]
    ]
    scipy.io.savemat(tmp_path / "a.mat", {"labels": ids, "types": ids})
    with pytest.raises(BadMaskError, match=r"a\.mat: .*no inst_map, and 2 other arrays"):
        reader.read(reader.records()[0], SIZE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(SIZE, 0.5), "must be whole"),
        (np.full(SIZE, -1), "must lie in 0"),
        (np.full(SIZE, np.nan), "must lie in 0"),
        (np.zeros((2, *SIZE)), r"must hold numbers of instances \(H, W\)"),
        (np.zeros((5, 5), int), r"is \(5, 5\) \(H, W\), but the image is \(12, 17\)"),
        (np.array({"a": 1}, dtype=object), "cannot be read"),
    ],
)
def test_what_is_no_map_is_named(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    reader = open_masks(tmp_path, "ssa")
    with pytest.raises(BadMaskError, match=rf"a\.npy: .*{message}"):
        reader.read(reader.records()[0], SIZE)


def test_damaged_files_are_named(tmp_path):
    for name in ("npy", "mat"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"a.{name}").write_bytes(b"no array")
        reader = open_masks(folder, "ssa")
        with pytest.raises(BadMaskError, match=rf"a\.{name}: cannot be read"):
            reader.read(reader.records()[0], SIZE)


def test_folders_of_several_kinds_or_none(tmp_path):
    with pytest.raises(ValueError, match="but this has none"):
        open_masks(tmp_path, "coin")
    peer_masks.write_instance_npy(tmp_path, IMAGES)
    peer_masks.write_coin(tmp_path, IMAGES)
    with pytest.raises(ValueError, match=r"but this has \.npy and \.png"):
        open_masks(tmp_path, "coin")
