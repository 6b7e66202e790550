"""VOC 2012, from a small folder in its layout."""

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from trace_mm.datasets.converters import convert_voc2012, describe
from trace_mm.datasets.converters.voc import read_voc_list
from trace_mm.evaluation import evaluate_instances
from trace_mm.files.palette import voc_palette

XML = """<annotation>
	<folder>VOC2012</folder>
	<filename>{stem}.jpg</filename>
	<size><width>50</width><height>40</height><depth>3</depth></size>
	<segmented>1</segmented>
{objects}
</annotation>
"""
OBJECT = """	<object>
		<name>{name}</name>
		<pose>Left</pose>
		<truncated>0</truncated>
		<difficult>{difficult}</difficult>
		<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>
	</object>"""
DOG, PERSON = 12, 15


def write_palette(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8), mode="P")
    image.putpalette(voc_palette().ravel().tolist())
    image.save(path)


@pytest.fixture
def root(tmp_path):
    """Two images; the first holds two dogs with a void band between, and two persons, one tiny."""
    folder = tmp_path / "VOC2012"
    objects = np.zeros((40, 50), dtype=np.uint8)
    objects[5:25, 2:17] = 1
    objects[5:25, 17:22] = 255
    objects[5:25, 22:37] = 2
    objects[30:38, 40:48] = 3
    objects[1:3, 46:48] = 4
    classes = objects.copy()
    classes[(objects == 1) | (objects == 2)] = DOG
    classes[objects >= 3] = PERSON
    classes[objects == 255] = 255
    classes[5, 2] = PERSON  # a stray pixel
    write_palette(folder / "SegmentationObject" / "2007_000033.png", objects)
    write_palette(folder / "SegmentationClass" / "2007_000033.png", classes)
    write_palette(folder / "SegmentationObject" / "2011_003003.png", objects * (objects == 3))
    write_palette(folder / "SegmentationClass" / "2011_003003.png", classes * (objects == 3))
    listed = folder / "ImageSets" / "Segmentation" / "val.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("2007_000033\n2011_003003\n")
    (folder / "Annotations").mkdir()
    # Boxes count pixels from 1. The objects are not in the order of the map.
    lines = [
        OBJECT.format(name="person", difficult=0, box=(41, 31, 48, 38)),
        OBJECT.format(name="dog", difficult=1, box=(23, 6, 37, 25)),
        OBJECT.format(name="dog", difficult=0, box=(2, 5, 18, 26)),
        OBJECT.format(name="horse", difficult=1, box=(3, 6, 17, 25)),  # annotated, not segmented
        OBJECT.format(name="person", difficult=1, box=(47, 2, 48, 3)),
    ]
    text = XML.format(stem="2007_000033", objects="\n".join(lines))
    (folder / "Annotations" / "2007_000033.xml").write_text(text)
    return folder


def test_masks_classes_void_and_difficult(root):
    content = convert_voc2012(root, "val", progress=False)
    assert [image["id"] for image in content["images"]] == [2007000033, 2011003003]
    first = content["images"][0]
    assert (first["file_name"], first["height"], first["width"]) == ("2007_000033.jpg", 40, 50)
    assert mask_utils.decode(first["void_segmentation"]).sum() == 20 * 5
    objects = [item for item in content["annotations"] if item["image_id"] == 2007000033]
    assert [item["original_category_id"] for item in objects] == [DOG, DOG, PERSON, PERSON]
    assert [item["difficult"] for item in objects] == [0, 1, 0, 1]
    assert [item["category_id"] for item in objects] == [1, 1, 1, 1]
    assert objects[0]["bbox"] == [2, 5, 15, 20] and objects[0]["area"] == 300
    expected = np.zeros((40, 50), dtype=bool)
    expected[5:25, 2:17] = True
    np.testing.assert_array_equal(mask_utils.decode(objects[0]["segmentation"]), expected)
    assert len({item["id"] for item in content["annotations"]}) == 5
    assert content["original_categories"][DOG - 1]["name"] == "dog"
    assert describe(content) == "2 images, 5 instances, 0 crowds, 2 of them difficult"


def test_both_protocols(root):
    content = convert_voc2012(root, "val", progress=False)
    results = [
        {"image_id": item["image_id"], "segmentation": item["segmentation"], "score": 1.0}
        for item in content["annotations"]
        if not item["difficult"]
    ]
    assert evaluate_instances(content, results).ar[100] == pytest.approx(3 / 5)
    scores = evaluate_instances(content, results, protocol="voc2012", touch_distance=6)
    assert scores.ap == pytest.approx(1) and scores.instances == 3
    assert scores.touching.image_ids == [2007000033]


def test_without_annotation_files_nothing_is_difficult(root):
    (root / "Annotations" / "2007_000033.xml").unlink()
    content = convert_voc2012(root, "val", progress=False)
    assert not any(item["difficult"] for item in content["annotations"])


def test_an_object_without_class(root):
    path = root / "SegmentationClass" / "2007_000033.png"
    classes = np.array(Image.open(path))
    classes[5:25, 22:37] = 0
    write_palette(path, classes)
    with pytest.raises(ValueError, match=r"2007_000033\.png: object 2 has no class"):
        convert_voc2012(root, "val", progress=False)


def test_a_class_that_voc_does_not_have(root):
    path = root / "SegmentationClass" / "2007_000033.png"
    classes = np.array(Image.open(path))
    classes[classes == PERSON] = 21
    write_palette(path, classes)
    with pytest.raises(ValueError, match=r"object 3 is of class 21, VOC has 20"):
        convert_voc2012(root, "val", progress=False)


def test_maps_of_two_sizes(root):
    write_palette(root / "SegmentationClass" / "2007_000033.png", np.zeros((4, 5)))
    with pytest.raises(
        ValueError, match=r"SegmentationObject.*2007_000033\.png.*\(40, 50\).*\(4, 5\)"
    ):
        convert_voc2012(root, "val", progress=False)


@pytest.mark.parametrize("text", ["<annotation>", "<a><object><name>dog</name></object></a>", ""])
def test_a_broken_annotation_file(root, text):
    (root / "Annotations" / "2007_000033.xml").write_text(text)
    with pytest.raises(ValueError, match=r"2007_000033\.xml: not an annotation file of VOC"):
        convert_voc2012(root, "val", progress=False)


def test_wrong_lists(root):
    folder = root / "ImageSets" / "Segmentation"
    with pytest.raises(FileNotFoundError, match=r"train\.txt: no such list"):
        convert_voc2012(root, "train", progress=False)
    for text, message in (
        ("", "the list is empty"),
        ("2007_000033\nphoto", "'photo' is not the name"),
        ("2007_000033\n2007_000033", "2007_000033 is listed twice"),
    ):
        (folder / "odd.txt").write_text(text)
        with pytest.raises(ValueError, match=rf"odd\.txt: {message}"):
            convert_voc2012(root, "odd", progress=False)
    (folder / "more.txt").write_text("2007_000039\n")
    with pytest.raises(FileNotFoundError, match=r"2007_000039\.png"):
        convert_voc2012(root, "more", progress=False)


def test_a_list_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "ImageSets" / "Segmentation" / "val.txt"
    path.parent.mkdir(parents=True)
    path.write_text("2007_000033\n2007_000042\n", encoding="utf-8-sig")
    assert read_voc_list(tmp_path, "val") == ["2007_000033", "2007_000042"]
