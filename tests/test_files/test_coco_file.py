"""COCO files as tools really write them: what is taken, and what is refused by name."""

import copy
import json

import numpy as np
import pytest

from trace_mm.files.coco_file import CocoFile

SQUARE = [1, 1, 4, 1, 4, 4, 1, 4]
RLE = {"size": [6, 8], "counts": [0, 6, 42]}
CONTENT = {
    "info": {"description": "two images"},
    "images": [
        {"id": 1, "file_name": "a.png", "height": 6, "width": 8},
        {"id": 2, "file_name": "b.png", "height": 6, "width": 8},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [SQUARE], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 3, "segmentation": RLE, "iscrowd": 1},
    ],
    "categories": [{"id": 3, "name": "cat"}],
}


def file_of(edit=lambda content: None):
    content = copy.deepcopy(CONTENT)
    edit(content)
    return CocoFile(content, "x.json")


def image(content):
    return content["images"][0]


def annotation(content):
    return content["annotations"][0]


def test_records_of_a_plain_file(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(CONTENT))
    file = CocoFile.read(tmp_path / "x.json").require("images", "annotations")
    images = file.images()
    assert [(key, one.name, one.size) for key, one in images.items()] == [
        (1, "a.png", (6, 8)),
        (2, "b.png", (6, 8)),
    ]
    square, crowd = file.by_image(images)[1]
    assert (square.image, square.category_id, square.box, square.score) == (1, 3, None, None)
    assert square.mask((6, 8)).sum() == 9
    assert [file.is_crowd(one) for one in (square, crowd)] == [False, True]
    assert crowd.rle((6, 8))["counts"] and crowd.content["id"] == 2
    assert file.by_image(images)[2] == []
    assert {key: category.name for key, category in file.categories().items()} == {3: "cat"}


@pytest.mark.parametrize("info", [None, [], "", "text", {}])
def test_info_may_be_anything(info):
    assert file_of(lambda content: content.update(info=info)).info == {}


def test_null_lists_are_empty():
    nothing = dict.fromkeys(("images", "annotations", "categories"))
    file = CocoFile(nothing, "x.json").require(*nothing)
    assert (file.images(), list(file.annotations()), file.categories()) == ({}, [], {})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: image(c).update(id=None), "images[0]: id must be a whole number or text"),
        (lambda c: image(c).update(id=True), "images[0]: id must be a whole number or text"),
        (lambda c: image(c).update(id=2), "images[1]: two images have the id 2"),
        (lambda c: image(c).update(file_name=None), "images[0]: file_name must name a file"),
        (lambda c: image(c).update(height=None), "images[0]: height must be a whole number from 1"),
        (lambda c: image(c).update(width=0), "images[0]: width must be a whole number from 1"),
        (lambda c: c["images"].append(None), "images[2]: must be an object, got None"),
        (lambda c: c.update(images={"id": 1}), "x.json: 'images' must be a list"),
        (lambda c: annotation(c).pop("image_id"), "annotations[0]: image_id must be a whole"),
        (lambda c: annotation(c).update(image_id=9), "annotations[0]: image_id: image 9 is not"),
        (lambda c: annotation(c).update(category_id="cat"), "annotations[0]: category_id must"),
        (lambda c: annotation(c).update(category_id=10**30), "annotations[0]: category_id must"),
        (lambda c: annotation(c).update(iscrowd=2), "annotations[0]: iscrowd must be 0 or 1"),
        (lambda c: annotation(c).update(score=float("nan")), "annotations[0]: score must be a fin"),
        (lambda c: annotation(c).update(score="0.5"), "annotations[0]: score must be a finite"),
        (lambda c: annotation(c).update(bbox=[1, 2, 3]), "annotations[0]: bbox must be four"),
        (lambda c: annotation(c).update(bbox=[1, 2, 3, float("inf")]), "annotations[0]: bbox must"),
        (lambda c: annotation(c).update(bbox=[1, 2, -3, 4]), "annotations[0]: bbox must be four"),
        (lambda c: annotation(c).update(segmentation=None), "annotations[0]: there is no segm"),
        (lambda c: annotation(c).update(segmentation=[SQUARE[:5]]), "annotations[0]: a polygon"),
        (
            lambda c: annotation(c).update(segmentation={**RLE, "size": None}),
            "annotations[0]: size of the RLE must be [H, W]",
        ),
        (
            lambda c: annotation(c).update(segmentation={**RLE, "size": [8, 6]}),
            "annotations[0]: RLE is for (8, 6) (H, W), but the image is (6, 8)",
        ),
        (lambda c: annotation(c).update(segmentation=[[1, 1, 3, 3]]), "a box is written as bbox"),
        (lambda c: c["annotations"].insert(0, "?"), "annotations[0]: must be an object"),
        (lambda c: c["categories"].append({"name": "x"}), "categories[1]: id must be a whole"),
        (lambda c: c["categories"].append({"id": "3"}), "categories[1]: two categories have"),
        (lambda c: c["categories"][0].update(name=[]), "categories[0]: name must be text"),
    ],
)
def test_a_refusal_names_file_record_and_field(edit, message):
    file = file_of(edit)
    with pytest.raises(ValueError) as caught:
        for one in file.images().values():
            _ = one.name, one.size
        for category in file.categories().values():
            _ = category.name
        for found in file.by_image(file.images()).values():
            for one in found:
                _ = one.category_id, one.crowd, one.score, one.box, one.mask((6, 8))
    assert message in str(caught.value)
    assert str(caught.value).startswith("x.json")


def test_bad_records_can_be_left_out():
    def edit(content):
        content["images"] += [None, {"id": None}, {**image(content), "file_name": "other.png"}]
        content["annotations"] += [7, {"image_id": None}, {"image_id": 1}, {"image_id": 2}]
        content["categories"] += ["cat", {"id": 3, "name": "again"}, {"name": "without"}]

    told = []
    file = file_of(edit)
    images = file.images(told.append)
    assert list(images) == [2]  # it is not clear which of two images has the id 1
    assert {key: len(found) for key, found in file.by_image(images, told.append).items()} == {2: 1}
    assert file.category_names() == {3: "cat"}
    assert sorted(str(error).split(": ")[1] for error in told) == [
        *(f"annotations[{index}]" for index in range(5)),
        *(f"images[{index}]" for index in (2, 3, 4)),
    ]


@pytest.mark.parametrize("image_id", [1, 1.0, "1"])
@pytest.mark.parametrize("own", [1, 1.0, "1"])
def test_ids_in_several_forms(own, image_id):
    def edit(content):
        image(content).update(id=own, height=6.0, width="8")
        for record in content["annotations"]:
            record.update(image_id=image_id, category_id="3")

    file = file_of(edit)
    images = file.images()
    assert [len(found) for found in file.by_image(images).values()] == [2, 0]
    assert images[1].size == (6, 8)
    assert [one.category_id for one in file.annotations()] == [3, 3]


@pytest.mark.parametrize("annotation_id", [0, 1, None, "x", float("nan")])
def test_ids_of_annotations_do_not_matter(annotation_id):
    file = file_of(lambda c: [one.update(id=annotation_id) for one in c["annotations"]])
    assert len(file.by_image(file.images())[1]) == 2


def test_names_of_lvis():
    def edit(content):
        del image(content)["file_name"]
        image(content)["coco_url"] = "http://h/val2017/a.png?size=1"

    assert file_of(edit).images()[1].name == "val2017/a.png"


@pytest.mark.parametrize(
    ("name", "expected"), [("cat", "cat"), (None, "class 3"), ("", "class 3"), (7, "7"), (7.0, "7")]
)
def test_categories_without_names(name, expected):
    file = file_of(lambda content: content["categories"][0].update(name=name))
    assert file.category_names() == {3: expected}


@pytest.mark.parametrize("flag", [True, 1, 1.0, "1", "true"])
def test_a_file_of_crowds_only_holds_instances(flag):
    def edit(content):
        for one in content["annotations"]:
            one.update(iscrowd=flag, segmentation=RLE)

    file = file_of(edit)
    assert file.only_crowds == 2
    assert not any(file.is_crowd(one) for one in file.annotations())
    assert "x.json: all 2 annotations are marked as crowds" in file.crowd_note


def test_one_instance_among_crowds():
    def edit(content):
        content["annotations"][0].update(iscrowd=None, segmentation=RLE)

    file = file_of(edit)
    assert (file.only_crowds, file.crowd_note) == (0, None)
    assert [file.is_crowd(one) for one in file.annotations()] == [False, True]
    # A crowd that is drawn by polygons is no brush mask.
    file = file_of(lambda content: [one.update(iscrowd=1) for one in content["annotations"]])
    assert file.only_crowds == 0


def test_lists_of_results():
    results = [{"image_id": 1.0, "segmentation": RLE, "score": np.float32(0.5)}, {"image_id": []}]
    file = CocoFile(results, "x.json")
    assert file.is_results
    told = []
    (found,) = file.by_image(None, told.append).values()
    assert [one.score for one in found] == [0.5]
    assert str(told[0]).startswith("x.json: results[1]: image_id must be")


@pytest.mark.parametrize("content", [None, 3, "x", True])
def test_what_is_no_coco_file(content):
    with pytest.raises(ValueError, match=r"x\.json: not a COCO annotation file"):
        CocoFile(content, "x.json")
    with pytest.raises(ValueError, match=r"x\.json: .* it has no list 'images'"):
        CocoFile({}, "x.json").require("images")
