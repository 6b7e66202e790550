import json

import numpy as np
import pytest

from trace_mm.datasets.converters import convert_instances_panoptic, describe_panoptic
from trace_mm.files.coco import encode_rle
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.files.panoptic_file import read_panoptic_file


def annotation(number, image, category, mask, iscrowd=0):
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": encode_rle(mask),
        "iscrowd": iscrowd,
    }


def box(top, bottom, left, right):
    mask = np.zeros((10, 12), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def write(folder, annotations, names=("a.jpg",)):
    content = {
        "images": [
            {"id": number, "file_name": name, "height": 10, "width": 12}
            for number, name in enumerate(names, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_smaller_instances_are_in_front_and_the_rest_is_void(tmp_path):
    crowd = box(0, 10, 6, 12)
    small, large = box(2, 5, 2, 5), box(1, 8, 1, 8)
    path = write(
        tmp_path,
        [
            annotation(1, 1, 9, crowd, iscrowd=1),
            annotation(2, 1, 7, small),
            annotation(3, 1, 9, large),
        ],
    )

    content = convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)

    (tmp_path / "panoptic.json").write_text(json.dumps(content))
    read = read_panoptic_file(tmp_path / "panoptic.json")
    assert [(one["id"], one["isthing"]) for one in read["categories"]] == [(7, 1), (9, 1)]
    ids = read_panoptic_png(tmp_path / "panoptic" / "a.png", (10, 12))
    segments = {one["id"]: one for one in read["annotations"][0]["segments_info"]}
    expected = {(7, 0): small, (9, 0): large & ~small, (9, 1): crowd & ~large}
    assert len(segments) == 3
    for number, segment in segments.items():
        mask = expected[segment["category_id"], segment["iscrowd"]]
        assert ((ids == number) == mask).all() and segment["area"] == mask.sum()
    assert (ids[~(small | large | crowd)] == 0).all()


def test_hidden_instances_are_left_out(tmp_path):
    mask = box(2, 5, 2, 5)
    path = write(tmp_path, [annotation(1, 1, 7, mask), annotation(2, 1, 9, mask)])
    content = convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)
    assert [one["category_id"] for one in content["annotations"][0]["segments_info"]] == [9]


def test_an_image_without_instances_is_void(tmp_path):
    path = write(tmp_path, [annotation(1, 2, 7, box(2, 5, 2, 5))], names=("a.jpg", "b.jpg"))
    content = convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)
    assert content["annotations"][0]["segments_info"] == []
    assert not read_panoptic_png(tmp_path / "panoptic" / "a.png").any()
    with pytest.raises(ValueError, match=r"instances\.json: there is no annotation in it"):
        convert_instances_panoptic(write(tmp_path, []), tmp_path / "panoptic", progress=False)


def test_images_that_would_share_a_map_are_refused(tmp_path):
    path = write(tmp_path, [annotation(1, 2, 7, box(2, 5, 2, 5))], names=("a.jpg", "sub/a.png"))
    with pytest.raises(ValueError, match=r"json: images\[1\]: two images would have the map a.png"):
        convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)


def test_a_bad_mask_names_file_and_annotation(tmp_path):
    bad = {**annotation(5, 1, 7, box(1, 2, 1, 2)), "segmentation": "nonsense"}
    with pytest.raises(ValueError, match=r"json: annotations\[0\]: segmentation holds neither"):
        convert_instances_panoptic(write(tmp_path, [bad]), tmp_path / "panoptic", progress=False)


@pytest.mark.parametrize("image_id", [1, 1.0, "1"])
def test_ids_and_flags_in_several_forms(tmp_path, image_id):
    masks = [box(2, 5, 2, 5), box(0, 10, 6, 12)]
    found = [annotation(1, image_id, "7", masks[0], "false"), annotation(1, 1, 9.0, masks[1], "1")]
    content = convert_instances_panoptic(write(tmp_path, found), tmp_path / "png", progress=False)
    segments = content["annotations"][0]["segments_info"]
    assert [(one["category_id"], one["iscrowd"]) for one in segments] == [(7, 0), (9, 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 5}, "image_id: image 5 is not listed"),
        ({"image_id": None}, "image_id must be a whole number or text"),
        ({"category_id": 8}, "category_id: category 8 is not listed"),
        ({"category_id": None}, "category_id must be a whole number"),
        ({"iscrowd": 2}, "iscrowd must be 0 or 1"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, change, message):
    path = write(tmp_path, [{**annotation(1, 1, 7, box(2, 5, 2, 5)), **change}])
    with pytest.raises(ValueError, match=rf"instances\.json: annotations\[0\]: {message}"):
        convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)


def test_crowds_only(tmp_path):
    path = write(tmp_path, [annotation(1, 1, 7, box(2, 5, 2, 5), iscrowd=1)])
    content = convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)
    assert [one["iscrowd"] for one in content["annotations"][0]["segments_info"]] == [0]
    assert "note: " in describe_panoptic(content)
    crowd = {
        **annotation(1, 1, 7, box(2, 5, 2, 5), iscrowd=1),
        "segmentation": [[1, 1, 4, 1, 4, 4]],
    }
    with pytest.raises(ValueError, match="all 1 annotations are crowds"):
        convert_instances_panoptic(write(tmp_path, [crowd]), tmp_path / "panoptic", progress=False)
