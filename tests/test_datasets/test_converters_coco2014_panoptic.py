"""Panoptic maps of COCO 2014 val, out of the files of 2017."""

import json

import numpy as np
import pytest
from PIL import Image

from trace_mm.datasets import InstanceEdgeDataset
from trace_mm.datasets.converters import convert_coco2014_panoptic, describe_panoptic
from trace_mm.files.panoptic import panoptic_png

CATEGORIES = [{"id": 1, "name": "person", "isthing": 1}]


def write_split(root, name, ids):
    """One of COCO's panoptic files of 2017, with its folder of PNGs."""
    (root / "annotations" / name).mkdir(parents=True, exist_ok=True)
    annotations = []
    for image_id in ids:
        segments = np.zeros((12, 16), np.int32)
        segments[:, :image_id] = 7
        file_name = f"{image_id:012}.png"
        (root / "annotations" / name / file_name).write_bytes(panoptic_png(segments))
        info = [{"id": 7, "category_id": 1, "iscrowd": 0, "area": 12 * image_id, "bbox": []}]
        annotation = {"image_id": image_id, "file_name": file_name, "segments_info": info}
        annotations.append(annotation)
    images = [{"id": one, "file_name": f"{one:012}.jpg", "height": 12, "width": 16} for one in ids]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (root / "annotations" / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def coco(tmp_path):
    """Images 3 and 5 are of 2014's val: in 2017 the first is in train, the second in val."""
    write_split(tmp_path, "panoptic_train2017", [2, 3])
    write_split(tmp_path, "panoptic_val2017", [5])
    (tmp_path / "val2014").mkdir()
    images = []
    for image_id in (5, 3):
        name = f"COCO_val2014_{image_id:012}.jpg"
        Image.new("RGB", (16, 12)).save(tmp_path / "val2014" / name)
        images.append({"id": image_id, "file_name": name, "height": 12, "width": 16})
    content = {"images": images, "annotations": [], "categories": CATEGORIES}
    (tmp_path / "annotations/instances_val2014.json").write_text(json.dumps(content))
    return tmp_path


def convert(coco, *splits):
    folder = coco / "annotations"
    sources = [folder / f"panoptic_{split}2017.json" for split in splits]
    out = folder / "panoptic_val2014.json"
    return convert_coco2014_panoptic(folder / "instances_val2014.json", sources, out)


def test_the_benchmark_reads_borders_of_all_images(coco):
    content = convert(coco, "train", "val")
    assert describe_panoptic(content).startswith("2 images, 2 things")
    dataset = InstanceEdgeDataset(
        annotation="coco_panoptic",
        data_root=str(coco),
        ann_file="annotations/panoptic_val2014.json",
        data_prefix={"img_path": "val2014", "seg_path": "annotations"},
    )
    samples = [dataset[index]["data_samples"] for index in range(len(dataset))]
    for sample, image_id in zip(samples, (3, 5), strict=True):
        assert sample.image_id == image_id
        columns = np.flatnonzero(np.asarray(sample.gt_edges)[0].any(axis=0))
        assert columns.tolist() == [image_id - 1]  # where the object of that width ends


def test_an_image_without_a_map_is_an_error(coco):
    with pytest.raises(
        ValueError, match=r"1 of 2 images have no map in panoptic_val2017\.json.* 3"
    ):
        convert(coco, "val")
    assert not (coco / "annotations/panoptic_val2014.json").exists()


def test_an_image_with_two_maps_is_an_error(coco):
    with pytest.raises(ValueError, match=r"panoptic_train2017.json: image 3 has a map"):
        convert(coco, "train", "val", "train")
