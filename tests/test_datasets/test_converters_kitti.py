"""KITTI's two benchmarks, from small folders in their layouts."""

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from trace_mm.datasets.converters import convert_kitti_boxes, convert_kitti_instances, describe
from trace_mm.evaluation import evaluate_instances

CAR, PERSON, ROAD = 26, 24, 7
LABELS = """\
Truck 0.00 0 -1.57 10.50 20.00 60.25 80.00 2.85 2.63 12.34 0.47 1.49 69.44 -1.56
Car 0.00 0 1.85 70.00 20.00 90.00 45.00 1.67 1.87 3.69 -16.53 2.39 58.49 1.57
DontCare -1 -1 -10 95.00 10.00 99.00 20.00 -1 -1 -1 -1000 -1000 -1000 -10
"""


def write_photo(root, stem, size=(100, 120)):
    (root / "image_2").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1]).save(root / "image_2" / f"{stem}.png")


@pytest.fixture
def masks_root(tmp_path):
    """16-bit maps of class * 256 + number."""
    root = tmp_path / "training"
    (root / "instance").mkdir(parents=True)
    ids = np.full((100, 120), ROAD * 256, dtype=np.uint16)
    ids[10:30, 10:40] = CAR * 256 + 1
    ids[10:30, 40:70] = CAR * 256 + 2
    ids[50:70, 10:40] = PERSON * 256 + 1
    ids[80:90, 10:90] = CAR * 256  # cars that were not told apart
    for stem in ("000000_10", "000001_10"):
        Image.fromarray(ids).save(root / "instance" / f"{stem}.png")
        write_photo(root, stem)
    return root


def test_instances(masks_root):
    content = convert_kitti_instances(masks_root, progress=False)
    assert [image["file_name"] for image in content["images"]] == ["000000_10.png", "000001_10.png"]
    assert describe(content) == "2 images, 6 instances, 2 crowds"
    first = [item for item in content["annotations"] if item["image_id"] == 1]
    assert [(item["original_category_id"], item["iscrowd"]) for item in first] == [
        (PERSON, 0),
        (CAR, 1),
        (CAR, 0),
        (CAR, 0),
    ]
    assert first[2]["bbox"] == [10, 10, 30, 20]
    assert mask_utils.decode(first[2]["segmentation"]).sum() == 600
    scores = evaluate_instances(content, [])
    assert scores.touching.image_ids == [1, 2] and scores.instances == 6


def test_ids_as_cityscapes_has_them(masks_root):
    for path in (masks_root / "instance").iterdir():
        ids = np.asarray(Image.open(path)).astype(int)
        kinds, numbers = ids // 256, ids % 256
        counted = np.where(numbers > 0, kinds * 1000 + numbers - 1, kinds)
        Image.fromarray(counted.astype(np.uint16)).save(path)
    content = convert_kitti_instances(masks_root, progress=False)
    assert describe(content) == "2 images, 6 instances, 2 crowds"
    assert content["info"]["ids"] == "class * 1000 + number"


def test_two_ways_to_number_are_not_mixed(masks_root):
    path = masks_root / "instance" / "000001_10.png"
    ids = np.full((100, 120), 7, dtype=np.uint16)
    ids[10:30, 10:40], ids[10:30, 40:70] = CAR * 1000, CAR * 1000 + 1
    Image.fromarray(ids).save(path)
    with pytest.raises(
        ValueError, match=r"000001_10\.png: ids are class \* 1000 \+ number, but in"
    ):
        convert_kitti_instances(masks_root, progress=False)


def test_when_nothing_is_left_it_is_no_success(masks_root):
    with pytest.raises(ValueError, match="no pixel is of a class with instances, if ids are class"):
        convert_kitti_instances(masks_root, progress=False, divisor=1000)


def test_a_semantic_map_is_refused(masks_root):
    path = masks_root / "instance" / "000001_10.png"
    Image.fromarray(np.full((100, 120), CAR, dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"000001_10\.png: .*not an instance map"):
        convert_kitti_instances(masks_root, progress=False)


def test_a_map_of_another_size(masks_root):
    write_photo(masks_root, "000001_10", (50, 50))
    with pytest.raises(ValueError, match=r"instance.*000001_10\.png: .*\(100, 120\).*\(50, 50\)"):
        convert_kitti_instances(masks_root, progress=False)


def test_missing_photos_and_folders(masks_root, tmp_path):
    (masks_root / "image_2" / "000000_10.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"000000_10\.png: not a readable image"):
        convert_kitti_instances(masks_root, progress=False)
    (masks_root / "image_2" / "000000_10.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"image_2.*000000_10\.png: no such image"):
        convert_kitti_instances(masks_root, progress=False)
    with pytest.raises(FileNotFoundError, match="label_2: no such folder"):
        convert_kitti_boxes(masks_root, progress=False)
    (tmp_path / "empty" / "instance").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no \.png file"):
        convert_kitti_instances(tmp_path / "empty", progress=False)


@pytest.fixture
def boxes_root(tmp_path):
    root = tmp_path / "training"
    (root / "label_2").mkdir(parents=True)
    (root / "label_2" / "000001.txt").write_text(LABELS)
    (root / "label_2" / "000002.txt").write_text("")
    write_photo(root, "000001")
    write_photo(root, "000002")
    return root


def test_boxes(boxes_root):
    content = convert_kitti_boxes(boxes_root, progress=False)
    assert describe(content) == "2 images, 2 boxes, 1 crowds"
    truck, car, ignored = content["annotations"]
    assert truck["bbox"] == [10.5, 20.0, 49.75, 60.0] and truck["area"] == 49.75 * 60
    names = {item["id"]: item["name"] for item in content["original_categories"]}
    assert names[car["original_category_id"]] == "Car"
    assert names[ignored["original_category_id"]] == "DontCare" and ignored["iscrowd"] == 1
    results = [
        {"image_id": 1, "bbox": truck["bbox"], "score": 0.5},
        {"image_id": 1, "bbox": [95.5, 11, 3, 8], "score": 0.9},  # inside DontCare
    ]
    scores = evaluate_instances(content, results, iou_type="bbox")
    assert scores.ar[100] == pytest.approx(0.5) and scores.ap > 0.5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Car 0.00 0 1.85 70.00 20.00 90.00 45.00", "it has 8 fields, not 15"),
        (LABELS.splitlines()[0].replace("Truck", "Boat"), "unknown type 'Boat'"),
        (LABELS.splitlines()[0].replace("10.50", "x"), "could not convert"),
        (LABELS.splitlines()[0].replace("10.50", "nan"), "its box is not finite"),
    ],
)
def test_a_wrong_line_is_named(boxes_root, line, message):
    (boxes_root / "label_2" / "000002.txt").write_text(f"{LABELS}{line}\n")
    with pytest.raises(ValueError, match=rf"000002\.txt: line 4: {message}"):
        convert_kitti_boxes(boxes_root, progress=False)
