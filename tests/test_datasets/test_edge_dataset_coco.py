"""COCO files of any tool give the same true edges."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tests import peer_masks
from trace_mm.datasets import CocoImages, InstanceEdgeDataset, instance_borders

SIZE = (20, 30)
IDS = np.zeros(SIZE, dtype=np.int32)
IDS[4:16, 3:14], IDS[4:16, 14:26] = 1, 2
CITY = "aachen_000000_000019"


def write_photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1]).save(path)


def write(root, edit=lambda content: None, encoding="utf-8"):
    """``instances.json`` of one image of two touching boxes."""
    annotations = [
        {"image_id": 1, "category_id": 1, "segmentation": peer_masks.rle(number == IDS)}
        for number in (1, 2)
    ]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": annotations}
    edit(content)
    (root / "instances.json").write_text(json.dumps(content), encoding=encoding)
    return root


def dataset(root, **options):
    return InstanceEdgeDataset(
        "coco_instances", ann_file="instances.json", data_root=str(root), **options
    )


def assert_edges(data):
    (edges,) = data[0]["data_samples"].gt_edges
    np.testing.assert_array_equal(edges, instance_borders(IDS))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_any_encoding(tmp_path, encoding):
    write_photo(tmp_path / "images" / "a.png")
    assert_edges(dataset(write(tmp_path, encoding=encoding)))


@pytest.mark.parametrize("own", [1, "1", 1.0])
@pytest.mark.parametrize("image_id", [1, "1", 1.0])
def test_ids_in_several_forms(tmp_path, own, image_id):
    def edit(content):
        content["images"][0]["id"] = own
        for annotation in content["annotations"]:
            annotation.update(image_id=image_id, iscrowd="0")

    write_photo(tmp_path / "images" / "a.png")
    data = dataset(write(tmp_path, edit))
    assert_edges(data)
    assert data[0]["data_samples"].image_id == 1


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        ("sub\\a.png", "sub/a.png"),
        ("train2017/a.png", "a.png"),
        (unicodedata.normalize("NFC", "Käse.png"), unicodedata.normalize("NFD", "Käse.png")),
        (f"{CITY}_gtFine_leftImg8bit.png", f"aachen/{CITY}_leftImg8bit.png"),
    ],
)
def test_names_of_other_systems(tmp_path, listed, file):
    def edit(content):
        content["images"][0].update(file_name=listed, id=CITY)
        for annotation in content["annotations"]:
            annotation["image_id"] = CITY

    write_photo(tmp_path / "images" / file)
    assert_edges(dataset(write(tmp_path, edit)))
    source = CocoImages(str(tmp_path), "instances.json", "images")
    assert source.read(0).path == str(tmp_path / "images" / file)
    ids = np.where(IDS > 0, IDS + 300, 0)
    peer_masks.save_colors(tmp_path / "png" / "sub" / "a.png", ids)
    content = json.loads((tmp_path / "instances.json").read_text())
    content["annotations"] = [
        {"image_id": CITY, "file_name": "sub\\a.png", "segments_info": [{"id": 1}]}
    ]
    peer_masks.save(tmp_path / "panoptic.json", content)
    panoptic = InstanceEdgeDataset(
        "coco_panoptic",
        ann_file="panoptic.json",
        data_root=str(tmp_path),
        data_prefix={"seg_path": "png"},
    )
    assert_edges(panoptic)


def test_names_of_lvis(tmp_path):
    def edit(content):
        content["images"] = [{"id": 1, "coco_url": "http://h/val2017/a.png"}]

    write_photo(tmp_path / "images" / "val2017" / "a.png")
    assert_edges(dataset(write(tmp_path, edit)))


def test_crowds_only(tmp_path, caplog):
    def edit(content):
        for annotation in content["annotations"]:
            annotation["iscrowd"] = 1

    write_photo(tmp_path / "images" / "a.png")
    for crowd in (True, False):
        assert_edges(dataset(write(tmp_path, edit), crowd=crowd))

    def draw(content):
        edit(content)
        for annotation in content["annotations"]:
            annotation["segmentation"] = [[1, 1, 4, 1, 4, 4]]

    with pytest.raises(ValueError, match=r"2 of 2 annotations .* crowd=False leaves out"):
        dataset(write(tmp_path, draw), crowd=False)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(annotations=None), "there is no annotation in it"),
        (lambda c: c["images"].append(None), r"images\[1\]: must be an object"),
        (lambda c: c["images"][0].update(file_name=None), r"images\[0\]: file_name must name"),
        (lambda c: c["annotations"][0].pop("image_id"), r"annotations\[0\]: image_id must be"),
        (lambda c: c["annotations"][0].update(image_id=2), r"annotations\[0\]: image_id: image 2"),
        (lambda c: c["annotations"][1].update(iscrowd="x"), r"annotations\[1\]: iscrowd must be"),
        (
            lambda c: c["images"].append({"id": 2, "file_name": "sub/a.png"}),
            "the images 1 and 2 would both be",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, edit, message):
    write_photo(tmp_path / "images" / "a.png")
    with pytest.raises(ValueError, match=rf"instances\.json: {message}"):
        dataset(write(tmp_path, edit))


def test_a_wrong_mask_is_named(tmp_path):
    write_photo(tmp_path / "images" / "a.png")
    root = write(tmp_path, lambda c: c["annotations"][1].update(segmentation=[[1, 1, 5, 5]]))
    with pytest.raises(ValueError, match=r"instances\.json: annotations\[1\]: .* written as bbox"):
        dataset(root)[0]


def test_missing_photos_are_found_at_once(tmp_path):
    write_photo(tmp_path / "images" / "b.png")
    with pytest.raises(FileNotFoundError, match=r"a\.png: no such image \(1 of 1 that"):
        dataset(write(tmp_path))
