"""One dataset over every annotation format."""

import json
import logging

import cv2
import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from pycocotools import mask as mask_utils

from trace_mm.datasets import InstanceEdgeDataset, instance_borders
from trace_mm.files import Orientation
from trace_mm.registry import DATASETS

SIZE = (20, 30)


def id_map():
    ids = np.zeros(SIZE, dtype=np.int32)
    ids[4:16, 3:14] = 1
    ids[4:16, 14:26] = 2
    return ids


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("b", "a"):
        pixels = np.full((*SIZE, 3), 100, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def write_coco(root):
    annotations = []
    for image_id in (1, 2):
        for instance in (1, 2):
            rle = mask_utils.encode(np.asfortranarray((id_map() == instance).astype(np.uint8)))
            rle["counts"] = rle["counts"].decode()
            annotations.append(
                {"id": len(annotations), "image_id": image_id, "segmentation": rle, "iscrowd": 0}
            )
    # Sizes are swapped, as some tools write them: they must not matter.
    images = [
        {"id": image_id, "file_name": f"{name}.png", "width": SIZE[0], "height": SIZE[1]}
        for image_id, name in ((2, "b"), (1, "a"))
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    (root / "instances.json").write_text(json.dumps(content))
    return {"annotation": "coco_instances", "ann_file": "instances.json"}


def write_panoptic(root):
    (root / "png").mkdir()
    ids = id_map()
    for name in ("a", "b"):
        rgb = np.stack([ids % 256, ids // 256, np.zeros_like(ids)], axis=2).astype(np.uint8)
        Image.fromarray(rgb).save(root / "png" / f"{name}_mask.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 2, "file_name": "b_mask.png", "segments_info": []},
            {"image_id": 1, "file_name": "a_mask.png", "segments_info": []},
        ],
    }
    (root / "panoptic.json").write_text(json.dumps(content))
    prefix = {"seg_path": "png"}
    return {"annotation": "coco_panoptic", "ann_file": "panoptic.json", "data_prefix": prefix}


def write_id_maps(root):
    (root / "ids").mkdir()
    for name in ("a", "b"):
        Image.fromarray(id_map().astype(np.uint16)).save(root / "ids" / f"{name}.png")
    return {"annotation": "id_maps", "data_prefix": {"seg_path": "ids"}}


def write_bsds(root):
    (root / "groundTruth").mkdir()
    cells = np.empty((1, 2), dtype=object)
    for index in range(2):
        cells[0, index] = {"Boundaries": instance_borders(id_map()).astype(np.uint8)}
    for name in ("a", "b"):
        scipy.io.savemat(root / "groundTruth" / f"{name}.mat", {"groundTruth": cells})
    return {"annotation": "bsds500", "data_prefix": {"seg_path": "groundTruth"}}


def write_mask_folders(root):
    for name in ("a", "b"):
        (root / "cells" / name / "masks").mkdir(parents=True)
        (root / "cells" / name / "images").mkdir()
        (root / "images" / f"{name}.png").rename(root / "cells" / name / "images" / f"{name}.png")
        for instance in (1, 2):
            mask = (id_map() == instance).astype(np.uint8) * 255
            Image.fromarray(mask).save(root / "cells" / name / "masks" / f"{instance}.png")
    return {"annotation": "mask_folders", "data_prefix": {"img_path": "cells"}}


WRITERS = [write_coco, write_panoptic, write_id_maps, write_bsds, write_mask_folders]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_the_same_edges(root, write):
    dataset = DATASETS.build({"type": "InstanceEdgeDataset", "data_root": str(root), **write(root)})
    assert len(dataset) == 2
    item = dataset[0]
    assert item["inputs"].shape == (3, *SIZE)
    assert item["inputs"].dtype == torch.float32
    assert item["inputs"].max() == pytest.approx(100 / 255)
    sample = item["data_samples"]
    assert sample.img_path.endswith("a.png")
    assert sample.image_id in (1, "a")
    assert sample.ori_shape == SIZE
    assert sample.gt_edges.dtype == bool
    assert len(sample.gt_edges) == (2 if write is write_bsds else 1)
    for edges in sample.gt_edges:
        np.testing.assert_array_equal(edges, instance_borders(id_map()))


def test_void_and_subset(root):
    options = write_id_maps(root)
    dataset = InstanceEdgeDataset(data_root=str(root), void=0, indices=1, **options)
    assert len(dataset) == 1
    edges = dataset[0]["data_samples"].gt_edges
    assert np.unique(np.nonzero(edges[0])[1]).tolist() == [13]


def test_errors_name_the_file_and_the_cause(root):
    with pytest.raises(ValueError, match="one of coco_instances"):
        InstanceEdgeDataset("voc", data_root=str(root))
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        InstanceEdgeDataset("coco_instances", ann_file="none.json", data_root=str(root))
    (root / "list.json").write_text("[]")
    with pytest.raises(ValueError, match=r"list\.json.*'images'"):
        InstanceEdgeDataset("coco_instances", ann_file="list.json", data_root=str(root))
    (root / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json.*JSON"):
        InstanceEdgeDataset("coco_instances", ann_file="bad.json", data_root=str(root))
    with pytest.raises(FileNotFoundError, match="no such folder of annotations"):
        InstanceEdgeDataset("id_maps", data_root=str(root), data_prefix={"seg_path": "nowhere"})
    options = write_id_maps(root)
    (root / "ids" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png.*1 of 2"):
        InstanceEdgeDataset(data_root=str(root), **options)
    Image.new("L", (3, 3)).save(root / "ids" / "b.png")
    with pytest.raises(ValueError, match=r"b\.png.*\(20, 30\).*\(3, 3\)"):
        InstanceEdgeDataset(data_root=str(root), **options)[1]


def test_the_smaller_of_overlapping_masks_is_in_front(root):
    options = write_mask_folders(root)
    whole = np.full(SIZE, 255, dtype=np.uint8)
    Image.fromarray(whole).save(root / "cells" / "a" / "masks" / "0.png")
    edges = InstanceEdgeDataset(data_root=str(root), **options)[0]["data_samples"].gt_edges
    np.testing.assert_array_equal(edges[0], instance_borders(id_map()))


def test_errors_of_mask_folders(root):
    options = write_mask_folders(root)
    Image.new("L", (3, 4)).save(root / "cells" / "a" / "masks" / "3.png")
    with pytest.raises(ValueError, match=r"3\.png: the mask is \(4, 3\)"):
        InstanceEdgeDataset(data_root=str(root), **options)[0]
    Image.new("L", (3, 4)).save(root / "cells" / "b" / "images" / "second.png")
    with pytest.raises(ValueError, match="there must be one image, not 2"):
        InstanceEdgeDataset(data_root=str(root), **options)
    (root / "cells" / "b" / "images" / "second.png").unlink()
    for mask in (root / "cells" / "b" / "masks").iterdir():
        mask.unlink()
    (root / "cells" / "b" / "masks").rmdir()
    with pytest.raises(FileNotFoundError, match="no such folder of masks"):
        InstanceEdgeDataset(data_root=str(root), **options)
    options["data_prefix"] = {"img_path": "nowhere"}
    with pytest.raises(FileNotFoundError, match="no such folder of annotated images"):
        InstanceEdgeDataset(data_root=str(root), **options)


def test_missing_and_broken_images(root):
    dataset = InstanceEdgeDataset(data_root=str(root), **write_coco(root))
    (root / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png: not an image"):
        dataset[0]
    (root / "images" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png: no such file"):
        dataset[0]
    with pytest.raises(ValueError, match="same stem"):
        Image.new("RGB", (3, 3)).save(root / "images" / "b.jpg")
        InstanceEdgeDataset(data_root=str(root), **write_id_maps(root))


TURNED = {6: -1, 8: 1}  # quarter turns against the clock that EXIF asks for


def turn_photos(root, exif=6):
    """Photos that are stored sideways and shown as they were."""
    for path in (root / "images").iterdir():
        tags = Image.Exif()
        tags[0x0112] = exif
        pixels = np.rot90(np.asarray(Image.open(path)), -TURNED[exif])
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=tags)


@pytest.mark.parametrize("exif", TURNED)
@pytest.mark.parametrize("write", WRITERS)
def test_upright_annotations_of_photos_that_are_stored_sideways(root, write, exif):
    pattern = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for path in (root / "images").iterdir():
        Image.fromarray(pattern).save(path)
    turn_photos(root, exif)
    item = InstanceEdgeDataset(data_root=str(root), **write(root))[0]
    sample = item["data_samples"]
    np.testing.assert_array_equal(item["inputs"].permute(1, 2, 0), pattern / np.float32(255))
    assert sample.ori_shape == SIZE
    assert sample.orientation == Orientation(exif)
    np.testing.assert_array_equal(sample.gt_edges[0], instance_borders(id_map()))


@pytest.mark.parametrize("write", WRITERS)
def test_annotations_of_stored_pixels_keep_them(root, write, monkeypatch):
    said = []
    monkeypatch.setattr("trace_mm.datasets.edge_dataset.print_log", lambda *text: said.append(text))
    for path in (root / "images").iterdir():
        tags = Image.Exif()
        tags[0x0112] = 6
        Image.open(path).save(path, exif=tags)
    sample = InstanceEdgeDataset(data_root=str(root), **write(root))[0]["data_samples"]
    assert sample.ori_shape == SIZE
    assert sample.orientation == Orientation(6, upright=False)
    np.testing.assert_array_equal(sample.gt_edges[0], instance_borders(id_map()))
    ((text, _, level),) = said
    assert "a.png: the annotation fits the pixels as they are stored" in text
    assert level == logging.WARNING


def test_polygons_reach_out_of_the_wrong_orientation(root):
    turn_photos(root)
    options = write_coco(root)
    content = json.loads((root / options["ann_file"]).read_text())
    for annotation in content["annotations"]:
        annotation["segmentation"] = [[3, 4, 26, 4, 26, 16, 3, 16]]
    (root / options["ann_file"]).write_text(json.dumps(content))
    assert InstanceEdgeDataset(data_root=str(root), **options)[0]["data_samples"].ori_shape == SIZE


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["16-bit grey", "16-bit colour", "32-bit", "float", "alpha"])
def test_photos_of_any_depth_are_the_same(root, kind, suffix):
    """As 8-bit ones are, which were divided by 255 in float32."""
    if suffix == ".png" and kind in ("32-bit", "float"):
        pytest.skip("PNG has no such pixels")
    options = write_coco(root)
    grey = np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)
    Image.fromarray(np.dstack([grey] * 3)).save(root / "images" / "a.png")
    plain = InstanceEdgeDataset(data_root=str(root), **options)[0]["inputs"]
    np.testing.assert_array_equal(plain, np.stack([grey] * 3) / np.float32(255))
    path = (root / "images" / "a.png").with_suffix(suffix)
    deep = grey.astype(np.uint16) * 257
    if kind == "16-bit colour":
        path.write_bytes(cv2.imencode(suffix, np.dstack([deep] * 3))[1].tobytes())
    elif kind == "alpha":  # half of them see through, on white
        alpha = np.where(np.arange(SIZE[1]) < 15, 0, 255) * np.ones(SIZE)
        Image.fromarray(np.dstack([grey] * 3 + [alpha.astype(np.uint8)])).save(path)
        plain[:, :, :15] = 1
    else:
        pixels = {"16-bit grey": deep, "32-bit": deep.astype(np.int32)}
        pixels["float"] = grey.astype(np.float32) / np.float32(255)
        Image.fromarray(pixels[kind]).save(path)
    content = (root / options["ann_file"]).read_text().replace("a.png", path.name)
    (root / options["ann_file"]).write_text(content)
    found = InstanceEdgeDataset(data_root=str(root), **options)[0]["inputs"]
    np.testing.assert_allclose(found, plain, rtol=1e-6)
