"""SA-1B, from a small folder in its layout."""

import json

import numpy as np
import pytest

from trace_mm.datasets.converters import convert_sa1b, describe
from trace_mm.evaluation import evaluate_instances
from trace_mm.files.coco import encode_rle


def sa1b_content(number):
    """As ``sa_<number>.json`` has it."""
    mask = np.zeros((30, 50), dtype=bool)
    mask[5:20, 10:40] = True
    annotations = [
        {
            "bbox": [10, 5, 29, 14],
            "area": 450,
            "segmentation": encode_rle(mask),
            "predicted_iou": 0.94,
            "point_coords": [[20.5, 10.25]],
            "crop_box": [0, 0, 50, 30],
            "id": 534800000 + number,
            "stability_score": 0.97,
        }
    ]
    image = {
        "image_id": number,
        "width": 50,
        "height": 30,
        "file_name": f"sa_{number}.jpg",
    }
    return {"image": image, "annotations": annotations}


@pytest.fixture
def folder(tmp_path):
    for number, name in ((223750, "sa_000020"), (223752, "sa_000020"), (11, "sa_000000")):
        path = tmp_path / name / f"sa_{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(sa1b_content(number)))
    return tmp_path


def test_one_file_of_many(folder):
    content = convert_sa1b(folder, progress=False)
    assert describe(content) == "3 images, 3 instances, 0 crowds"
    assert [image["file_name"] for image in content["images"]] == [
        "sa_000000/sa_11.jpg",
        "sa_000020/sa_223750.jpg",
        "sa_000020/sa_223752.jpg",
    ]
    assert [item["id"] for item in content["annotations"]] == [1, 2, 3]
    results = [
        {"image_id": item["image_id"], "segmentation": item["segmentation"], "score": 1.0}
        for item in content["annotations"]
    ]
    assert evaluate_instances(content, results).ap == pytest.approx(1)


def test_first_images(folder):
    content = convert_sa1b(folder, max_images=2, progress=False)
    assert [image["id"] for image in content["images"]] == [11, 223750]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [1, 2]}, "bbox must be four numbers"),
        ({"segmentation": None}, "there is no segmentation"),
        ({"segmentation": {"size": [50, 30], "counts": "1"}}, "RLE is for"),
    ],
)
def test_a_wrong_annotation_is_named(folder, change, message):
    content = sa1b_content(11)
    content["annotations"][0].update(change)
    (folder / "sa_000000" / "sa_11.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"sa_11\.json: annotations\[0\]: {message}"):
        convert_sa1b(folder, progress=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a file of SA-1B"),
        ('{"image": {}, "annotations": []}', "image: height must be a whole number"),
        ('{"image": {}}', "not a file of SA-1B"),
        (
            json.dumps({**sa1b_content(11), "annotations": [5]}),
            r"annotations\[0\]: must be an obj",
        ),
        (json.dumps(sa1b_content(223750)), "image 223750 has a file already"),
    ],
)
def test_a_wrong_file_is_named(folder, text, message):
    (folder / "sa_000020" / "sa_9.json").write_text(text)
    with pytest.raises(ValueError, match=rf"sa_\d+\.json: {message}"):
        convert_sa1b(folder, progress=False)


def test_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        convert_sa1b(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no sa_"):
        convert_sa1b(tmp_path)
