"""COCO panoptic files, small ones in the original format and the two photos of its repository."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny_panoptic import write_panoptic
from trace_mm.datasets.converters import convert_coco_panoptic, describe_panoptic
from trace_mm.evaluation import score_panoptic_files
from trace_mm.files.coco import decode_rle
from trace_mm.files.panoptic import read_panoptic_png
from trace_mm.files.panoptic_file import read_panoptic_file
from trace_mm.panoptic import PanopticClasses

CAT, DOG, GRASS = 1, 2, 7
IDS = np.array([[0, 70000, 70000, 3], [9, 9, 9, 3]])
LABELS = {70000: CAT, 3: DOG, 9: GRASS}
SAMPLE = Path(__file__).parents[2].parent / "shared" / "data" / "panoptic_sample"


@pytest.fixture
def source(tmp_path):
    """Three images; in the last the cat is a crowd."""
    return write_panoptic(
        tmp_path / "source",
        dict.fromkeys(("a", "b", "c"), (IDS, LABELS)),
        crowds={"c": {70000}},
    )


def convert(source, out, **options):
    return convert_coco_panoptic(source, source.parent / "panoptic", out, progress=False, **options)


def change(source, edit):
    content = json.loads(source.read_text())
    edit(content)
    source.write_text(json.dumps(content))


def test_sound_files_stay_as_they_are(source, tmp_path):
    content = convert(source, tmp_path / "out")
    expected = read_panoptic_file(source)
    assert content["info"] == {"corrected": 0, "dropped": 0}
    for key in ("images", "annotations", "categories"):
        assert content[key] == expected[key]
    assert read_panoptic_file(tmp_path / "out" / "panoptic.json") == content
    for name in ("a.png", "b.png", "c.png"):
        written = (tmp_path / "out" / "panoptic" / name).read_bytes()
        assert written == (source.parent / "panoptic" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "panoptic",
        "panoptic.json",
    ]
    assert describe_panoptic(content) == "3 images, 5 things, 3 stuff segments, 1 crowds"


def test_empty_boxes_and_order_are_mended(source, tmp_path):
    """As U2Seg writes stuff, and with stuff first."""

    def edit(content):
        for record in content["annotations"]:
            for segment in record["segments_info"]:
                if segment["category_id"] == GRASS:
                    segment.update(area=0, bbox=[])
        content["categories"].reverse()
        ghost = {"id": 5, "category_id": CAT, "area": 4, "bbox": [0, 0, 2, 2], "iscrowd": 0}
        content["annotations"][1]["segments_info"].append(ghost)

    expected = read_panoptic_file(source)
    change(source, edit)
    content = convert(source, tmp_path / "out")
    assert content["info"] == {"corrected": 3, "dropped": 1}
    assert describe_panoptic(content).endswith(
        "3 boxes or areas corrected, 1 segments without pixels dropped"
    )
    assert content["annotations"] == expected["annotations"]
    assert [entry["id"] for entry in content["categories"]] == [DOG, CAT, GRASS]


def test_maps_are_named_after_the_image(source, tmp_path):
    folder = source.parent / "panoptic"
    (folder / "a.png").rename(folder / "a_map.png")
    change(source, lambda content: content["annotations"][0].update(file_name="a_map.png"))
    content = convert(source, tmp_path / "out")
    assert content["annotations"][0]["file_name"] == "a.png"
    assert (read_panoptic_png(tmp_path / "out" / "panoptic" / "a.png") == IDS).all()


@pytest.mark.parametrize("chosen", [["b", "c"], ["b.jpg", "12"]])
def test_a_subset(source, tmp_path, chosen):
    content = convert(source, tmp_path / "out", images=chosen)
    assert [image["file_name"] for image in content["images"]] == ["b.jpg", "c.jpg"]
    assert not (tmp_path / "out" / "panoptic" / "a.png").exists()
    with pytest.raises(ValueError, match=r"1 images are not annotated: \['d'\]"):
        convert(source, tmp_path / "out", images=["b", "d"])


def test_instances_and_semantic_maps_agree(source, tmp_path):
    content = convert(source, tmp_path / "out", instances=True, semantic=True)
    instances = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [entry["id"] for entry in instances["categories"]] == [CAT, DOG]
    assert [entry["id"] for entry in instances["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [entry["iscrowd"] for entry in instances["annotations"]] == [0, 0, 0, 0, 0, 1]
    things = [
        {**segment, "image_id": record["image_id"]}
        for record in content["annotations"]
        for segment in record["segments_info"]
        if segment["category_id"] != GRASS
    ]
    for thing, instance in zip(things, instances["annotations"], strict=True):
        mask = decode_rle(instance["segmentation"], IDS.shape)
        np.testing.assert_array_equal(mask, thing["id"] == IDS)
        for key in ("image_id", "category_id", "area", "bbox", "iscrowd"):
            assert instance[key] == thing[key]
    semantic = np.asarray(Image.open(tmp_path / "out" / "semantic" / "a.png"))
    np.testing.assert_array_equal(semantic, [[0, 1, 1, 2], [3, 3, 3, 2]])


def test_workers_change_nothing(source, tmp_path):
    options = {"instances": True, "semantic": True}
    content = convert(source, tmp_path / "one", **options)
    assert convert(source, tmp_path / "two", workers=2, **options) == content
    for path in (tmp_path / "one").rglob("*"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.is_dir() or path.read_bytes() == other.read_bytes()


def test_damage_is_named(source, tmp_path):
    out, folder = tmp_path / "out", source.parent / "panoptic"
    (folder / "c.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"source.panoptic.c\.png"):
        convert(source, out)
    (folder / "c.png").write_bytes((folder / "b.png").read_bytes()[:50])
    with pytest.raises(ValueError, match=r"source.panoptic.c\.png: damaged image"):
        convert(source, out)
    change(source, lambda content: content["images"][0].update(width=3))
    with pytest.raises(ValueError, match=r"a\.png: is \(2, 4\) .*\(2, 3\)"):
        convert(source, out, images=["a"])
    change(source, lambda content: content["annotations"][1]["segments_info"].pop())
    with pytest.raises(ValueError, match=r"b\.png: segments without a category: \[70000\]"):
        convert(source, out, images=["b"])
    change(source, lambda content: content["images"][0].update(file_name="x/b.png"))
    with pytest.raises(ValueError, match="images 10 and 11 are both called 'b'"):
        convert(source, out)
    with pytest.raises(ValueError, match="0 workers or more"):
        convert(source, out, workers=-1)
    assert not (out / "panoptic.json").exists()


def test_the_source_is_not_written_over(source):
    with pytest.raises(ValueError, match=r"would be written onto .*, which is read"):
        convert(source, source.parent)


needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason="no photos of COCO")


@needs_sample
def test_the_photos_of_coco_stay_as_they_are(tmp_path):
    """Beside panoptic files, COCO gives the same segments as RLE and as category and number."""
    files = SAMPLE / "panoptic_examples.json", SAMPLE / "panoptic_examples"
    content = convert_coco_panoptic(*files, tmp_path, instances=True, semantic=True, progress=False)
    assert content["info"]["corrected"] == content["info"]["dropped"] == 0
    ours = tmp_path / "panoptic.json", tmp_path / "panoptic"
    assert score_panoptic_files(*files, *ours).percentages()["PQ"] == 100
    classes = PanopticClasses.from_file("coco2017")
    assert tuple(entry["name"] for entry in content["categories"]) == tuple(classes.names)
    things = {entry["id"] for entry in content["categories"] if entry["isthing"]}

    detections = json.loads((SAMPLE / "panoptic_coco_detection_format.json").read_text())
    expected = {_described(one) for one in detections["annotations"]}
    instances = json.loads((tmp_path / "instances.json").read_text())["annotations"]
    assert {_described(one) for one in instances} == {one for one in expected if one[1] in things}

    values = {entry["id"]: value for value, entry in enumerate(content["categories"], start=1)}
    for record in content["annotations"]:
        pair = np.asarray(Image.open(SAMPLE / "panoptic_examples_2ch_format" / record["file_name"]))
        table = np.array([values.get(number, 0) for number in range(256)])
        semantic = np.asarray(Image.open(tmp_path / "semantic" / record["file_name"]))
        np.testing.assert_array_equal(semantic, table[pair[:, :, 0]])
        ids = read_panoptic_png(tmp_path / "panoptic" / record["file_name"])
        kinds = np.stack([ids, pair[:, :, 0], pair[:, :, 1]], axis=2).reshape(-1, 3)
        assert len(np.unique(kinds, axis=0)) == len(np.unique(ids))
        crowds = [one["id"] for one in record["segments_info"] if one["iscrowd"]]
        np.testing.assert_array_equal(np.isin(ids, crowds), pair[:, :, 1] == 255)


def _described(annotation: dict) -> tuple:
    keys = ("image_id", "category_id", "area", "iscrowd")
    segmentation = annotation["segmentation"]
    mask = decode_rle(segmentation, tuple(segmentation["size"]))
    return (*(annotation[key] for key in keys), tuple(annotation["bbox"]), mask.tobytes())
