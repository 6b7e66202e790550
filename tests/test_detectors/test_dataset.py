"""Masks of anything as a dataset of MMDetection."""

import json

import numpy as np
import pytest
from PIL import Image

from trace_mm.files.coco import decode_rle, instance_annotation
from trace_mm.registry import DATASETS

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")
detectors = pytest.importorskip("trace_mm.detectors")

SIZE = (20, 30)


def square(left):
    mask = np.zeros(SIZE, dtype=bool)
    mask[3:11, left : left + 8] = True
    return mask


@pytest.fixture
def root(tmp_path):
    """Three photos; masks of two, as MaskCut writes them: sides swapped, folders in names."""
    (tmp_path / "photos" / "n01").mkdir(parents=True)
    for number in (1, 2, 3):
        Image.new("RGB", SIZE[::-1], (60 * number, 0, 0)).save(
            tmp_path / "photos" / "n01" / f"{number}.JPEG"
        )
    images = [
        {"id": number, "file_name": f"n01/{number}.JPEG", "height": SIZE[1], "width": SIZE[0]}
        for number in (1, 2, 3)
    ]
    annotations = [
        {"id": 1, "image_id": 1, **instance_annotation(square(2), 7)},
        {"id": 1, "image_id": 1, **instance_annotation(square(15), 9)},
        {"id": 1, "image_id": 3, **instance_annotation(square(4), 7)},
    ]
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 7, "name": "fg"}, {"id": 9, "name": "other"}],
    }
    (tmp_path / "masks.json").write_text(json.dumps(content))
    return tmp_path


def dataset_of(root, **settings):
    return DATASETS.build(
        {
            "type": "InstanceLabelDataset",
            "ann_file": str(root / "masks.json"),
            "data_prefix": {"img": str(root / "photos")},
            **settings,
        }
    )


def test_instances_are_of_one_class_at_the_size_of_their_masks(root):
    dataset = dataset_of(root)
    assert dataset.metainfo["classes"] == ("object",)
    info = dataset.get_data_info(0)
    assert info["img_path"] == str(root / "photos" / "n01" / "1.JPEG")
    assert (info["img_id"], info["height"], info["width"]) == (1, *SIZE)
    assert [one["bbox_label"] for one in info["instances"]] == [0, 0]
    assert [one["bbox"] for one in info["instances"]] == [[2, 3, 10, 11], [15, 3, 23, 11]]
    np.testing.assert_array_equal(decode_rle(info["instances"][1]["mask"], SIZE), square(15))


def test_images_without_masks_are_left_out_if_asked(root):
    assert len(dataset_of(root)) == 3
    kept = dataset_of(root, filter_cfg={"filter_empty_gt": True})
    assert [kept.get_data_info(index)["img_id"] for index in range(len(kept))] == [1, 3]
    content = json.loads((root / "masks.json").read_text())
    (root / "masks.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(ValueError, match=r"masks\.json: no image has an instance"):
        dataset_of(root, filter_cfg={"filter_empty_gt": True})


def test_a_test_lists_all_images_and_no_instances(root):
    dataset = dataset_of(root, test_mode=True, filter_cfg={"filter_empty_gt": True})
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert [info["img_id"] for info in infos] == [1, 2, 3]
    assert all(not info["instances"] for info in infos)


def test_crowds_are_to_be_ignored(root):
    content = json.loads((root / "masks.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    (root / "masks.json").write_text(json.dumps(content))
    flags = [one["ignore_flag"] for one in dataset_of(root).get_data_info(0)["instances"]]
    assert flags == [1, 0]


def test_mmdet_s_pipeline_takes_it(root):
    dataset = dataset_of(
        root,
        pipeline=[
            {"type": "trace_mm.LoadImageFromFile"},
            {"type": "mmdet.LoadAnnotations", "with_bbox": True, "with_mask": True},
            {"type": "mmdet.RandomFlip", "prob": 1.0},
            {"type": "mmdet.PackDetInputs"},
        ],
    )
    sample = dataset[0]
    found = sample["data_samples"].gt_instances
    np.testing.assert_array_equal(found.masks.masks[0], square(2)[:, ::-1])
    assert found.labels.tolist() == [0, 0]
    assert sample["inputs"].shape == (3, *SIZE)


def test_a_missing_file_is_named(root):
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        dataset_of(root, ann_file=str(root / "gone.json"))
