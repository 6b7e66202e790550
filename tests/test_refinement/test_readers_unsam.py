"""UnSAM's files, one an image."""

import json
import shutil

import numpy as np
import pytest

from tests import peer_masks
from trace_mm.refinement.readers import BadMaskError, UnSamReader, open_masks

IMAGES = {
    "sa_1": peer_masks.rectangles((12, 17), (1, 2, 4, 5), (6, 9, 5, 6)),
    "sa_20": peer_masks.rectangles((20, 10), (0, 0, 7, 4), (2, 2, 9, 6)),
}


def write(folder, refined=True):
    """UnSAM takes ids from the numbers of SA-1B's names."""
    peer_masks.write_unsam(folder, {name[3:]: masks for name, masks in IMAGES.items()}, refined)
    for path in list(folder.iterdir()):
        refined_prefix = "p_" if path.name.startswith("p_") else ""
        path.rename(folder / f"{refined_prefix}sa_{path.name.removeprefix('p_')}")
    return folder


@pytest.mark.parametrize("refined", [True, False])
def test_every_image_once_in_its_latest_version(refined, tmp_path):
    reader = open_masks(write(tmp_path, refined))
    assert type(reader) is UnSamReader
    assert [record.image for record in reader.records()] == ["sa_1", "sa_20"]
    for record in reader.records():
        masks = IMAGES[record.image]
        instances = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(instances.masks, masks)
        assert instances.labels.tolist() == [1, 1]
        assert instances.scores is None


def test_refined_files_that_were_refined_again(tmp_path):
    write(tmp_path)
    content = json.loads((tmp_path / "p_sa_1.json").read_text())
    content["annotations"].pop()
    (tmp_path / "p_p_sa_1.json").write_text(json.dumps(content))
    reader = open_masks(tmp_path)
    assert len(reader.read(reader.records()[0], (12, 17))) == 1


def test_refined_files_alone(tmp_path):
    write(tmp_path)
    for path in tmp_path.glob("sa_*"):
        path.unlink()
    assert [record.image for record in open_masks(tmp_path).records()] == ["sa_1", "sa_20"]


def test_one_file_may_be_called_anything(tmp_path):
    write(tmp_path, refined=False)
    path = shutil.move(tmp_path / "sa_20.json", tmp_path / "masks.json")
    reader = open_masks(path)
    (record,) = reader.records()
    assert record.image == "20.jpg"
    np.testing.assert_array_equal(reader.read(record, (20, 10)).masks, IMAGES["sa_20"])


def test_ground_truth_of_sa_1b(tmp_path):
    masks = IMAGES["sa_1"]
    annotations = [
        {"id": 500 + number, "area": int(mask.sum()), "bbox": peer_masks.box(mask)}
        | {"segmentation": peer_masks.rle(mask), "predicted_iou": 0.9, "crop_box": [0, 0, 17, 12]}
        for number, mask in enumerate(masks)
    ]
    image = {"image_id": 1, "width": 17, "height": 12, "file_name": "sa_1.jpg"}
    path = peer_masks.save(tmp_path / "sa_1.json", {"image": image, "annotations": annotations})
    for where in (path, tmp_path):
        reader = open_masks(where)
        instances = reader.read(reader.records()[0], (12, 17))
        np.testing.assert_array_equal(instances.masks, masks)
        assert instances.labels.tolist() == [1, 1]


@pytest.mark.parametrize("text", ["", "[]", '{"image": {}}', '{"image": [], "annotations": []}'])
def test_a_bad_file_does_not_hide_the_others(text, tmp_path):
    write(tmp_path)
    (tmp_path / "p_sa_1.json").write_text(text)
    reader = open_masks(tmp_path)
    first, second = reader.records()
    with pytest.raises(BadMaskError, match=r"p_sa_1\.json: (not valid JSON|not a file of one)"):
        reader.read(first, (12, 17))
    np.testing.assert_array_equal(reader.read(second, (20, 10)).masks, IMAGES["sa_20"])


def test_a_folder_without_files(tmp_path):
    with pytest.raises(ValueError, match="no JSON file"):
        open_masks(tmp_path, "unsam")


@pytest.mark.parametrize("flags", [[0, 1], [1, 1]], ids=["some", "all"])
def test_crowds_are_told_once(tmp_path, flags):
    for path in write(tmp_path, refined=False).iterdir():
        content = json.loads(path.read_text())
        for annotation, flag in zip(content["annotations"], flags, strict=True):
            annotation["iscrowd"] = flag
        path.write_text(json.dumps(content))
    left = {"auto": 1 if 0 in flags else 2, "skip": flags.count(0), "keep": 2}
    for crowds, count in left.items():
        reader = open_masks(tmp_path, crowds=crowds)
        for record in reader.records():
            assert len(reader.read(record, IMAGES[record.image][0].shape)) == count
        told = [note for note in reader.notes if "iscrowd" in note]
        assert len(told) == (crowds != "keep")
        if crowds == "auto" and 0 not in flags:
            assert told == [note for note in told if "taken as instances (--crowds skip" in note]
        else:
            assert told == [note for note in told if "are left out; --crowds keep" in note]
