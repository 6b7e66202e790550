"""COCO panoptic format: ids survive colours and files, errors name the culprit."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from trace_mm.files.id_maps import decode_ids
from trace_mm.files.panoptic import (
    MAX_ID,
    encode_ids,
    panoptic_png,
    read_panoptic_png,
    segment_ids,
    segments_info,
)
from trace_mm.files.panoptic_file import read_panoptic_file

ID_MAPS = arrays.arrays(
    np.int64,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.integers(0, MAX_ID),
)
CONTENT = {
    "images": [{"id": 7, "file_name": "7.jpg", "height": 2, "width": 3}],
    "annotations": [
        {
            "image_id": 7,
            "file_name": "7.png",
            "segments_info": [
                {"id": 1, "category_id": 1, "area": 2, "bbox": [0, 0, 1, 2], "iscrowd": 0}
            ],
        }
    ],
    "categories": [
        {"id": 1, "name": "cat", "isthing": 1},
        {"id": 2, "name": "grass", "isthing": 0},
    ],
}


@given(ids=ID_MAPS)
def test_ids_survive_colours(ids):
    rgb = encode_ids(ids)
    assert rgb.dtype == np.uint8 and rgb.shape == (*ids.shape, 3)
    weights = np.array([1, 256, 65536])
    np.testing.assert_array_equal((rgb.astype(np.int64) * weights).sum(2), ids)
    assert decode_ids(rgb).dtype == np.int32
    np.testing.assert_array_equal(decode_ids(rgb), ids)


@given(ids=ID_MAPS)
def test_ids_survive_a_file(ids, tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "ids.png"
    data = panoptic_png(ids)
    assert data == panoptic_png(ids.astype(np.uint32))
    path.write_bytes(data)
    np.testing.assert_array_equal(read_panoptic_png(path, ids.shape), ids)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint64])
def test_any_integers_are_encoded(dtype):
    ids = np.array([[0, 3, 127]], dtype=dtype)
    np.testing.assert_array_equal(decode_ids(encode_ids(ids)), ids)


@pytest.mark.parametrize(
    ("ids", "cause"),
    [
        (np.array([[-1]]), "there are -1 to -1"),
        (np.array([[MAX_ID + 1]]), "16777216"),
        (np.array([[1.0]]), "float64"),
        (np.zeros((1, 1, 1), dtype=int), r"\(1, 1, 1\)"),
    ],
)
def test_other_ids_are_refused(ids, cause):
    with pytest.raises(ValueError, match=cause):
        encode_ids(ids)


def test_an_empty_map_is_no_file():
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        panoptic_png(np.zeros((0, 3), dtype=int))


def test_only_colours_are_decoded():
    with pytest.raises(ValueError, match="uint8"):
        decode_ids(np.zeros((2, 2), dtype=np.uint8))


def test_alpha_is_dropped(tmp_path):
    rgba = np.full((2, 2, 4), 9, dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert (read_panoptic_png(tmp_path / "a.png") == 9 * 65793).all()


def test_unreadable_maps_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        read_panoptic_png(tmp_path / "absent.png")
    path = tmp_path / "map.png"
    data = panoptic_png(np.arange(64).reshape(8, 8))
    for damaged in (b"", b"no image", data[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"map\.png: (not an|damaged) image"):
            read_panoptic_png(path)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"map\.png.*\(8, 8\).*\(8, 9\)"):
        read_panoptic_png(path, (8, 9))
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"map\.png: must hold segment ids as RGB"):
        read_panoptic_png(path)


@given(ids=ID_MAPS)
def test_ids_are_listed_without_void(ids):
    assert segment_ids(ids) == sorted(set(ids.ravel().tolist()) - {0})


def test_segments_are_described():
    ids = np.array([[9, 9, 0], [0, 4, 4]])
    assert segments_info(ids, {9: 2, 4: 1, 5: 1}, crowds={4}) == [
        {"id": 4, "category_id": 1, "area": 2, "bbox": [1, 1, 2, 1], "iscrowd": 1},
        {"id": 9, "category_id": 2, "area": 2, "bbox": [0, 0, 2, 1], "iscrowd": 0},
    ]


@given(ids=arrays.arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 2, 300, MAX_ID])))
def test_segments_fill_what_is_not_void(ids):
    segments = segments_info(ids, {1: 1, 2: 1, 300: 2, MAX_ID: 2})
    assert sum(segment["area"] for segment in segments) == np.count_nonzero(ids)
    for segment in segments:
        left, top, width, height = segment["bbox"]
        box = ids[top : top + height, left : left + width] == segment["id"]
        assert box.sum() == segment["area"]
        assert box[0].any() and box[-1].any() and box[:, 0].any() and box[:, -1].any()
    json.dumps(segments)


def test_a_segment_needs_a_category():
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        segments_info(np.array([[0, 3], [4, 5]]), {5: 1})


def test_a_sound_file_is_read(tmp_path):
    assert read_panoptic_file(_written(tmp_path, CONTENT)) == CONTENT


def test_whole_numbers_may_be_written_as_floats(tmp_path):
    content = copy.deepcopy(CONTENT)
    content["annotations"][0]["segments_info"][0] |= {"id": 1.0, "category_id": 1.0}
    del content["annotations"][0]["segments_info"][0]["iscrowd"]
    content["annotations"][0]["image_id"] = 7.0
    read = read_panoptic_file(_written(tmp_path, content))
    assert read == CONTENT
    assert isinstance(read["annotations"][0]["segments_info"][0]["id"], int)


def test_image_ids_may_be_text(tmp_path):
    content = copy.deepcopy(CONTENT)
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = "frankfurt_000000"
    assert read_panoptic_file(_written(tmp_path, content)) == content


def test_predictions_may_come_alone(tmp_path):
    path = _written(tmp_path, {"annotations": CONTENT["annotations"]})
    with pytest.raises(ValueError, match="images"):
        read_panoptic_file(path)
    assert read_panoptic_file(path, complete=False) == CONTENT | {"images": [], "categories": []}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda c: c.pop("annotations"), "list 'annotations'"),
        (lambda c: c["images"].append(4), r"images\[1\]: must be an object, got 4"),
        (
            lambda c: c["images"].append({**c["images"][0], "file_name": "8.jpg"}),
            r"images\[1\]: two",
        ),
        (lambda c: c["images"][0].update(width=0), r"images\[0\]: width .* from 1, got 0"),
        (lambda c: c["images"][0].pop("id"), r"images\[0\]: id .* got None"),
        (lambda c: c["images"][0].update(file_name="../7.jpg"), r"images\[0\]: file_name"),
        (lambda c: c["annotations"][0].update(file_name="/7.png"), r"annotations\[0\]: file_name"),
        (
            lambda c: c["annotations"][0].update(image_id=8),
            r"annotations\[0\]: image_id: no image has id 8",
        ),
        (lambda c: c["annotations"][0].pop("segments_info"), r"annotations\[0\]: needs a list"),
        (lambda c: c["annotations"].append("?"), r"annotations\[1\]: must be an object"),
        (
            lambda c: c["annotations"].append(c["annotations"][0]),
            r"annotations\[1\]: image_id: 7 occurs",
        ),
        (lambda c: _segment(c).update(id=0), r"segments_info\[0\]: id .* in 1 to 16777215, got 0"),
        (lambda c: _segment(c).update(id=2**24), "got 16777216"),
        (lambda c: _segment(c).update(id=True), "got True"),
        (
            lambda c: _segment(c).update(category_id=3),
            r"segments_info\[0\]: category_id: no category has id 3",
        ),
        (lambda c: _segment(c).update(iscrowd=2), "iscrowd must be 0 or 1, got 2"),
        (lambda c: _segments(c).append(_segment(c)), r"segments_info\[1\]: id: 1 occurs twice"),
        (lambda c: c["categories"].clear(), "no category has id 1"),
        (lambda c: c["images"].clear(), "no image has id 7"),
        (
            lambda c: c["categories"][1].update(id=1),
            r"categories\[1\]: two categories have the id 1",
        ),
        (lambda c: c["categories"][1].update(name="cat"), r"same name: \['cat'\]"),
        (lambda c: c["categories"][1].update(name=[]), r"categories\[1\]: name must be text"),
        (lambda c: c["categories"][0].pop("isthing"), r"categories\[0\]: isthing"),
    ],
)
def test_damaged_files_are_refused(change, cause, tmp_path):
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(ValueError, match=rf"panoptic\.json: .*{cause}"):
        read_panoptic_file(_written(tmp_path, content))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "panoptic.json"
    with pytest.raises(FileNotFoundError, match=r"panoptic\.json"):
        read_panoptic_file(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_panoptic_file(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="must hold an object"):
        read_panoptic_file(path)


def _written(folder: Path, content: dict) -> Path:
    path = folder / "panoptic.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _segments(content: dict) -> list[dict]:
    return content["annotations"][0]["segments_info"]


def _segment(content: dict) -> dict:
    return _segments(content)[0]
