import json

import numpy as np
import pytest

from trace_mm.datasets.converters import convert_instances_panoptic
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
    content = convert_instances_panoptic(write(tmp_path, []), tmp_path / "panoptic", progress=False)
    assert content["annotations"][0]["segments_info"] == []
    assert not read_panoptic_png(tmp_path / "panoptic" / "a.png").any()


def test_images_that_would_share_a_map_are_refused(tmp_path):
    path = write(tmp_path, [], names=("a.jpg", "sub/a.png"))
    with pytest.raises(ValueError, match=r"instances.json: two images would have the map a.png"):
        convert_instances_panoptic(path, tmp_path / "panoptic", progress=False)


def test_a_bad_mask_names_file_image_and_annotation(tmp_path):
    bad = {**annotation(5, 1, 7, box(1, 2, 1, 2)), "segmentation": "nonsense"}
    with pytest.raises(ValueError, match=r"instances.json: image a.jpg: annotation 5"):
        convert_instances_panoptic(write(tmp_path, [bad]), tmp_path / "panoptic", progress=False)
