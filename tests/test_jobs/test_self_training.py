"""Labels of a round of self-training, as files."""

import json

import numpy as np
import pytest

from trace_mm.files.coco import decode_rle, instance_annotation
from trace_mm.jobs.self_training import merge_label_files

SIZE = (20, 30)


def square(left, side=8):
    mask = np.zeros(SIZE, dtype=bool)
    mask[4 : 4 + side, left : left + side] = True
    return mask


def coco(images, annotations):
    return {
        "images": images,
        "annotations": [{"id": 0, **one} for one in annotations],  # ids do not matter
        "categories": [{"id": 1, "name": "fg"}],
    }


def image(number, **more):
    entry = {"id": number, "file_name": f"{number}.jpg", "height": SIZE[0], "width": SIZE[1]}
    return {**entry, **more}


def found(number, mask, score):
    return {"image_id": number, **instance_annotation(mask), "score": score}


@pytest.fixture
def files(tmp_path):
    """Old masks of three images, and predictions for two of them."""
    old = [
        {"image_id": number, **instance_annotation(square(left))}
        for number, left in ((1, 0), (1, 12), (2, 3))
    ]
    # MaskCut swaps the sides of images.
    images = [image(1, height=SIZE[1], width=SIZE[0]), image(2), image(3)]
    (tmp_path / "old.json").write_text(json.dumps(coco(images, old)))
    new = [found(1, square(1), 0.9), found(1, square(12), 0.3), found(3, square(20), 0.7)]
    new_images = [image(1), image(2), image(3)]
    (tmp_path / "new.json").write_text(json.dumps(coco(new_images, new)))
    return tmp_path / "old.json", tmp_path / "new.json", tmp_path / "out.json"


def test_sure_predictions_replace_what_they_overlap(files):
    old, new, out = files
    summary = merge_label_files(old, new, out)
    content = json.loads(out.read_text())
    by_image = {number: [] for number in (1, 2, 3)}
    for one in content["annotations"]:
        by_image[one["image_id"]].append((decode_rle(one["segmentation"], SIZE), one.get("score")))
    expected = {
        1: [(square(1), 0.9), (square(12), None)],
        2: [(square(3), None)],
        3: [(square(20), 0.7)],
    }
    for number, masks in expected.items():
        for (mask, score), (wanted, wanted_score) in zip(by_image[number], masks, strict=True):
            np.testing.assert_array_equal(mask, wanted)
            assert score == wanted_score
    assert [one["id"] for one in content["annotations"]] == [1, 2, 3, 4]
    assert all((one["height"], one["width"]) == SIZE for one in content["images"])
    assert content["annotations"][0]["bbox"] == [1, 4, 8, 8]
    assert summary.describe() == "3 images, 4 masks: 2 of 3 predictions, 2 of 3 old ones"


def test_a_list_of_results_goes_by_ids(files):
    old, new, out = files
    merge_label_files(old, new, out)
    whole = json.loads(new.read_text())
    new.write_text(json.dumps(whole["annotations"]))
    expected = out.read_bytes()
    merge_label_files(old, new, out)
    assert out.read_bytes() == expected


def test_thresholds_are_the_caller_s(files):
    old, new, out = files
    assert merge_label_files(old, new, out, min_score=0.2).kept == 3
    assert merge_label_files(old, new, out, max_overlap=0.99).old_kept == 3


def test_what_does_not_fit_is_refused(files):
    old, new, out = files
    content = json.loads(new.read_text())
    content["images"][1]["file_name"] = "other.jpg"
    new.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"new\.json: images\[1\]: the image 2 is not that of"):
        merge_label_files(old, new, out)
    content["images"][1]["file_name"] = "2.jpg"
    del content["annotations"][2]["score"]
    new.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"new\.json: annotations\[2\]: there is no score"):
        merge_label_files(old, new, out)
    with pytest.raises(ValueError, match="would be written onto"):
        merge_label_files(old, new, old)
    assert not out.exists()


def test_nothing_left_is_an_error(files):
    old, new, out = files
    old.write_text(json.dumps(coco([image(1)], [])))
    new.write_text(json.dumps([found(1, square(1), 0.1)]))
    with pytest.raises(ValueError, match="no mask is left"):
        merge_label_files(old, new, out)
    assert not out.exists()
