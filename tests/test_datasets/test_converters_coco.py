"""COCO, LVIS and Objects365, from small files in their formats."""

import json

import numpy as np
import pytest

from trace_mm.datasets.converters import (
    convert_coco,
    convert_hrsid,
    convert_instances_panoptic,
    convert_isaid,
    convert_lvis,
    convert_objects365,
    describe,
    write_annotation_file,
)
from trace_mm.evaluation import InstanceGroundTruth, evaluate_instances
from trace_mm.files.coco import decode_segmentation, mask_box

POLYGON = [[10.5, 10.0, 30.0, 10.0, 30.0, 25.5, 10.5, 25.5]]
CROWD = {"size": [40, 60], "counts": [600, 80, 1720]}


def coco_content():
    """As ``instances_val2014.json`` has it."""
    return {
        "info": {"description": "COCO 2014 Dataset", "year": 2014},
        "licenses": [{"id": 3, "name": "Attribution"}],
        "images": [
            {
                "license": 3,
                "file_name": "COCO_val2014_000000391895.jpg",
                "coco_url": "http://images.cocodataset.org/val2014/COCO_val2014_000000391895.jpg",
                "height": 40,
                "width": 60,
                "date_captured": "2013-11-14 11:18:45",
                "id": 391895,
            },
            {"file_name": "COCO_val2014_000000000042.jpg", "height": 30, "width": 30, "id": 42},
        ],
        "annotations": [
            {
                "segmentation": POLYGON,
                "area": 302.25,
                "iscrowd": 0,
                "image_id": 391895,
                "bbox": [10.5, 10.0, 19.5, 15.5],
                "category_id": 18,
                "id": 151091,
            },
            {
                "segmentation": CROWD,
                "area": 80,
                "iscrowd": 1,
                "image_id": 391895,
                "bbox": [15, 0, 2, 40],
                "category_id": 1,
                "id": 900100391895,
            },
        ],
        "categories": [
            {"supercategory": "person", "id": 1, "name": "person"},
            {"supercategory": "animal", "id": 18, "name": "dog"},
        ],
    }


def satellite_content(name):
    """As HRSID and iSAID's devkit have it; the second object was cut to a line by a patch's rim."""
    line = [[0.0, 3.0, 0.0, 9.0]]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 2, "segmentation": POLYGON, "iscrowd": 0}
        | {"area": 302.25, "bbox": [10.5, 10.0, 19.5, 15.5]},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": line, "iscrowd": 0}
        | {"area": 0.0, "bbox": [0.0, 3.0, 0.0, 6.0]},
    ]
    categories = [{"id": 1, "name": "ship"}, {"id": 2, "name": "plane"}]
    image = {"id": 1, "width": 60, "height": 40, "file_name": name}
    return {"images": [image], "annotations": annotations, "categories": categories}


def lvis_content():
    """As ``lvis_v1_val.json`` has it: no file_name, no iscrowd."""
    image = {
        "date_captured": "2013-11-14 17:02:52",
        "id": 397133,
        "license": 4,
        "height": 40,
        "width": 60,
        "flickr_url": "http://farm7.staticflickr.com/x.jpg",
        "coco_url": "http://images.cocodataset.org/train2017/000000397133.jpg",
        "not_exhaustive_category_ids": [914],
        "neg_category_ids": [279, 899],
    }
    annotation = {
        "bbox": [10.5, 10.0, 19.5, 15.5],
        "category_id": 232,
        "image_id": 397133,
        "id": 1,
        "segmentation": POLYGON,
        "area": 302.25,
    }
    category = {
        "id": 232,
        "name": "cat",
        "synset": "cat.n.01",
        "synonyms": ["cat"],
        "def": "a feline",
        "frequency": "f",
        "image_count": 1,
        "instance_count": 1,
    }
    return {"images": [image], "annotations": [annotation], "categories": [category]}


def objects365_content():
    """As ``zhiyuan_objv2_val.json`` has it: boxes, and no segmentation."""
    images = [
        {
            "height": 512,
            "id": image_id,
            "license": 5,
            "width": 769,
            "file_name": f"images/v1/patch8/objects365_v1_{image_id:08d}.jpg",
            "url": "",
        }
        for image_id in (420917, 7)
    ]
    annotations = [
        {
            "id": number,
            "iscrowd": crowd,
            "isfake": 0,
            "area": box[2] * box[3],
            "isreflected": 0,
            "bbox": box,
            "image_id": image_id,
            "category_id": 27,
        }
        for number, image_id, crowd, box in (
            (45, 420917, 0, [10.5, 20.25, 100.0, 50.0]),
            (46, 420917, 1, [300.0, 20.0, 80.0, 50.0]),
            (47, 420917, 0, [5.0, 5.0, 0.0, 9.0]),
            (48, 7, 0, [1.0, 1.0, 30.0, 30.0]),
        )
    ]
    categories = [{"name": "Person", "id": 1}, {"name": "Moniter/TV", "id": 27}]
    return {"images": images, "annotations": annotations, "categories": categories, "licenses": []}


def written(tmp_path, content, name="source.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return path


def test_coco_keeps_all_but_the_classes(tmp_path):
    source = coco_content()
    content = convert_coco(written(tmp_path, source), progress=False)
    assert [category["id"] for category in content["categories"]] == [1]
    assert content["original_categories"] == [
        {"id": 1, "name": "person"},
        {"id": 18, "name": "dog"},
    ]
    for before, after in zip(source["annotations"], content["annotations"], strict=True):
        assert after["category_id"] == 1
        assert after["original_category_id"] == before["category_id"]
        for key in ("id", "image_id", "segmentation", "bbox", "area", "iscrowd"):
            assert after[key] == before[key]
    kept = [image["file_name"] for image in content["images"]]
    assert kept == [image["file_name"] for image in source["images"]]
    assert describe(content) == "2 images, 1 instances, 1 crowds"


def test_what_is_written_can_be_scored(tmp_path):
    content = convert_coco(written(tmp_path, coco_content()), progress=False)
    write_annotation_file(content, tmp_path / "new" / "out.json")
    truth = InstanceGroundTruth.read(tmp_path / "new" / "out.json")
    assert [item.category for item in truth.instances[391895]] == [18, 1]
    results = [{"image_id": 391895, "segmentation": POLYGON, "score": 0.5}]
    assert evaluate_instances(truth, results).ap == pytest.approx(1)
    # The classes played no part before either.
    assert evaluate_instances(coco_content(), results) == evaluate_instances(truth, results)


def test_sides_that_are_swapped_are_put_right(tmp_path):
    rle = {"size": [2, 3], "counts": [2, 1, 3]}
    image = {"id": 1, "file_name": "a.jpg", "height": 3, "width": 2}  # as MaskCut writes it
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle}
    content = {
        "images": [image],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "fg"}],
    }
    converted = convert_coco(written(tmp_path, content), progress=False)
    panoptic = convert_instances_panoptic(
        written(tmp_path, content), tmp_path / "maps", progress=False
    )
    for found in (converted, panoptic):
        assert (found["images"][0]["height"], found["images"][0]["width"]) == (2, 3)


def test_lvis_finds_images_in_the_folders_of_coco(tmp_path):
    content = convert_lvis(written(tmp_path, lvis_content()), progress=False)
    (image,) = content["images"]
    assert image["file_name"] == "train2017/000000397133.jpg"
    assert image["not_exhaustive_category_ids"] == [914]
    (annotation,) = content["annotations"]
    assert annotation["iscrowd"] == 0 and annotation["original_category_id"] == 232
    source = lvis_content()
    del source["images"][0]["coco_url"]
    with pytest.raises(ValueError, match=r"source\.json: images\[0\]: there is no coco_url"):
        convert_lvis(written(tmp_path, source), progress=False)


def test_objects365_has_boxes_only(tmp_path):
    path = written(tmp_path, objects365_content())
    content = convert_objects365(path, progress=False)
    assert content["info"]["boxes_only"]
    assert [item["id"] for item in content["annotations"]] == [45, 46, 48]
    assert describe(content) == "2 images, 2 boxes, 1 crowds, 1 without extent left out"
    assert content["annotations"][0]["segmentation"] == [
        [10.5, 20.25, 110.5, 20.25, 110.5, 70.25, 10.5, 70.25]
    ]
    with pytest.raises(ValueError, match="boxes only"):
        evaluate_instances(content, [])
    results = [
        {"image_id": item["image_id"], "bbox": item["bbox"], "score": 1.0}
        for item in content["annotations"]
    ]
    assert evaluate_instances(content, results, iou_type="bbox").ap == pytest.approx(1)


def test_objects365_first_images(tmp_path):
    path = written(tmp_path, objects365_content())
    content = convert_objects365(path, max_images=1, progress=False)
    assert [image["id"] for image in content["images"]] == [7]
    assert [item["id"] for item in content["annotations"]] == [48]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 5}, "image_id: image 5 is not listed"),
        ({"category_id": 2}, "category_id: category 2 is not listed"),
        ({"category_id": None}, "category_id must be a whole number"),
        ({"iscrowd": "maybe"}, "iscrowd must be 0 or 1"),
        ({"bbox": [1, 2, 3]}, "bbox must be four numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "bbox must be four numbers"),
        ({"segmentation": []}, "there is no segmentation"),
        ({"segmentation": [[1, 2, 3]]}, "a polygon"),
        ({"segmentation": [["a", "b"]]}, "a polygon"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "a polygon reaches far out"),
        ({"segmentation": {"size": [60, 40], "counts": "x"}}, "RLE is for"),
        ({"segmentation": {"size": None, "counts": "x"}}, "size of the RLE"),
        ({"segmentation": {"size": [40, 60]}}, "counts of the RLE"),
        ({"segmentation": {"size": [40, 60], "counts": "59"}}, ".*14 pixels"),
        ({"segmentation": {"size": [40, 60], "counts": [5]}}, ".* 5 pixels"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, change, message):
    source = coco_content()
    source["annotations"][0].update(change)
    with pytest.raises(ValueError, match=rf"source\.json: annotations\[0\]: {message}"):
        convert_coco(written(tmp_path, source), progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 42}, r"images\[1\]: two images have the id 42"),
        ({"id": [1]}, r"images\[0\]: id must be a whole number or text"),
        ({"height": None}, r"images\[0\]: height must be a whole number from 1, got None"),
        ({"width": 0}, r"images\[0\]: width must be a whole number from 1, got 0"),
        ({"file_name": None, "coco_url": None}, r"images\[0\]: file_name must name a file"),
    ],
)
def test_a_wrong_image_is_named(tmp_path, change, message):
    source = coco_content()
    source["images"][0].update(change)
    with pytest.raises(ValueError, match=rf"source\.json: {message}"):
        convert_coco(written(tmp_path, source), progress=False)


def test_a_file_that_is_not_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        convert_coco(tmp_path / "none.json")
    path = written(tmp_path, {"images": []})
    with pytest.raises(ValueError, match="it has no"):
        convert_coco(path)
    path.write_text("[1, 2")
    with pytest.raises(ValueError, match="not valid JSON"):
        convert_coco(path)


def test_what_is_not_stated_is_measured_on_the_mask(tmp_path):
    source = coco_content()
    del source["annotations"][0]["area"]
    source["annotations"][0]["bbox"] = None
    content = convert_coco(written(tmp_path, source), progress=False)
    mask = decode_segmentation(POLYGON, (40, 60))
    assert [item["area"] for item in content["annotations"]] == [mask.sum(), 80]
    np.testing.assert_allclose(content["annotations"][0]["bbox"], mask_box(mask))


@pytest.mark.parametrize("ids", [(0, 1), (3, 3), (None, 4), ("a", "b"), (1.5, 2)])
def test_annotations_are_numbered_where_their_ids_are_of_no_use(tmp_path, ids):
    source = coco_content()
    for annotation, number in zip(source["annotations"], ids, strict=True):
        annotation["id"] = number
    content = convert_coco(written(tmp_path, source), progress=False)
    assert [item["id"] for item in content["annotations"]] == [1, 2]


def test_fields_in_the_forms_of_other_tools(tmp_path):
    source = coco_content()
    source["info"] = None
    source["categories"] = None
    source["images"][0].update(id="391895", height=40.0, width="60")
    del source["images"][0]["file_name"]  # LVIS has coco_url
    source["annotations"][0].update(category_id=18.0, iscrowd="0")
    source["annotations"][1].update(category_id="1", iscrowd=True, image_id=391895.0)
    path = tmp_path / "source.json"
    path.write_text(json.dumps(source), encoding="utf-16")
    content = convert_coco(path, progress=False)
    assert content["original_categories"] == [
        {"id": 18, "name": "class 18"},
        {"id": 1, "name": "class 1"},
    ]
    first = content["images"][0]
    assert (first["id"], first["height"], first["width"]) == (391895, 40, 60)
    assert first["file_name"] == "val2014/COCO_val2014_000000391895.jpg"
    assert [item["iscrowd"] for item in content["annotations"]] == [0, 1]
    results = [{"image_id": 391895, "segmentation": POLYGON, "score": 0.5}]
    assert evaluate_instances(content, results).ap == pytest.approx(1)


def test_files_of_crowds_only(tmp_path):
    source = coco_content()
    source["annotations"] = source["annotations"][1:]  # an RLE, as masks drawn with a brush
    content = convert_coco(written(tmp_path, source), progress=False)
    line, note = describe(content).splitlines()
    assert line == "2 images, 1 instances, 0 crowds"
    assert "all 1 annotations are marked as crowds" in note
    source["annotations"][0]["segmentation"] = POLYGON
    with pytest.raises(ValueError, match=r"source\.json: there is no instance in it: .* 1 are"):
        convert_coco(written(tmp_path, source), progress=False)


def test_mostly_crowds_are_told_of(tmp_path):
    source = coco_content()
    source["annotations"] += [dict(source["annotations"][1])] * 2
    content = convert_coco(written(tmp_path, source), progress=False)
    assert "most annotations are no instances" in describe(content)


@pytest.mark.parametrize("convert", [convert_hrsid, convert_isaid])
def test_objects_cut_to_lines_are_left_out_and_counted(tmp_path, convert):
    (tmp_path / "source.json").write_text(json.dumps(satellite_content("P0003_0_800_0_800.png")))
    content = convert(tmp_path / "source.json", progress=False)
    assert describe(content) == "1 images, 1 instances, 0 crowds, 1 without extent left out"
    (kept,) = content["annotations"]
    assert (kept["original_category_id"], kept["category_id"]) == (2, 1)
    with pytest.raises(ValueError, match="no polygon of three corners"):
        convert_coco(tmp_path / "source.json", progress=False)
