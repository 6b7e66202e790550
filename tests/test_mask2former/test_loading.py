"""Panoptic labels in pipelines of MMDetection: the dataset and the transform."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tests.tiny_panoptic import write_panoptic
from trace_mm.files.panoptic import panoptic_png
from trace_mm.registry import DATASETS, TRANSFORMS

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
LoadImageFromFile = pytest.importorskip("mmcv.transforms").LoadImageFromFile
mask2former = pytest.importorskip("trace_mm.mask2former")

METAINFO = {"thing_classes": ["dog", "cat"], "stuff_classes": ["grass"]}  # not the file's order
IDS = np.array([[5, 5, 0, 9], [5, 5, 0, 9], [3, 3, 3, 9]], dtype=np.int32)
LABELS = {5: 1, 9: 2, 3: 7}  # a cat, a dog and grass


def dataset_of(folder, **options):
    options = {"metainfo": METAINFO, "labels": str(folder), **options}
    prefix = options.pop("data_prefix", {"img": "photos"})
    return mask2former.PanopticLabelDataset(data_prefix=prefix, data_root="here", **options)


@pytest.fixture
def folder(tmp_path):
    write_panoptic(tmp_path, {"one": (IDS, LABELS), "two": (IDS[::-1], LABELS)})
    return tmp_path


def test_both_are_registered():
    assert DATASETS.get("PanopticLabelDataset") is mask2former.PanopticLabelDataset
    assert TRANSFORMS.get("LoadPanopticAnnotations") is mask2former.LoadPanopticAnnotations


def test_dataset_says_what_is_in_an_image(folder):
    dataset = dataset_of(folder)
    assert dataset.metainfo["classes"] == ("dog", "cat", "grass")
    assert len(dataset) == 2
    info = dataset.get_data_info(0)
    assert info["img_path"] == "here/photos/one.jpg"
    assert info["seg_map_path"] == str(folder / "panoptic" / "one.png")
    assert (info["img_id"], info["height"], info["width"]) == (10, 3, 4)
    assert info["segments_info"] == [
        {"id": 3, "category": 2, "is_thing": False},
        {"id": 5, "category": 1, "is_thing": True},
        {"id": 9, "category": 0, "is_thing": True},
    ]
    assert info["instances"] == [
        {"bbox": [0, 0, 2, 2], "bbox_label": 1, "ignore_flag": 0},
        {"bbox": [3, 0, 4, 3], "bbox_label": 0, "ignore_flag": 0},
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPEG", ".png"])
def test_images_of_any_suffix(tmp_path, suffix):
    write_panoptic(tmp_path, {"a.jpg.b": (IDS, LABELS)}, suffix=suffix)
    info = dataset_of(tmp_path).get_data_info(0)
    assert info["img_path"] == f"here/photos/a.jpg.b{suffix}"
    assert info["seg_map_path"] == str(tmp_path / "panoptic" / "a.jpg.b.png")


def test_labels_given_file_by_file(folder):
    dataset = mask2former.PanopticLabelDataset(
        metainfo=METAINFO,
        data_root=str(folder),
        ann_file="panoptic.json",
        data_prefix={"img": "photos", "seg": "panoptic"},
    )
    assert dataset.get_data_info(1)["seg_map_path"] == str(folder / "panoptic" / "two.png")


def test_only_listed_images_count(folder):
    (folder / "train_aug.txt").write_text("/JPEGImages/two.jpg /SegmentationClassAug/two.png\n\n")
    settings = {"metainfo": METAINFO, "data_root": str(folder), "labels": str(folder)}
    settings["data_prefix"] = {"img": "photos"}
    whole = mask2former.PanopticLabelDataset(**settings)
    dataset = mask2former.PanopticLabelDataset(**settings, listed="train_aug.txt")
    assert len(whole) > len(dataset) == 1
    assert dataset.get_data_info(0)["seg_map_path"] == str(folder / "panoptic" / "two.png")
    (folder / "train_aug.txt").write_text("2007_000032\n")
    with pytest.raises(ValueError, match="has none of the listed images"):
        mask2former.PanopticLabelDataset(**settings, listed="train_aug.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.txt: no such list"):
        mask2former.PanopticLabelDataset(**settings, listed="none.txt")


def test_images_without_things_are_left_out_if_asked(tmp_path):
    grass = np.full((4, 4), 8, dtype=np.int32)
    write_panoptic(tmp_path, {"grass": (grass, {8: 7}), "one": (IDS, LABELS)})
    assert len(dataset_of(tmp_path)) == 2
    kept = dataset_of(tmp_path, filter_cfg={"filter_empty_gt": True})
    assert [kept.get_data_info(index)["img_id"] for index in range(len(kept))] == [11]


def test_a_crowd_is_no_instance(tmp_path):
    write_panoptic(tmp_path, {"one": (IDS, LABELS)}, crowds={"one": [5]})
    info = dataset_of(tmp_path).get_data_info(0)
    assert [instance["bbox_label"] for instance in info["instances"]] == [0]
    assert info["segments_info"][1] == {"id": 5, "category": 1, "is_thing": False}


@pytest.mark.parametrize(
    ("metainfo", "message"),
    [
        ({"thing_classes": ["dog"], "stuff_classes": ["grass"]}, "'cat' is no class"),
        ({"thing_classes": ["dog", "cat", "grass"]}, "'grass' as things"),
        ({"thing_classes": ["dog"], "stuff_classes": ["grass", "cat"]}, "'cat' as stuff"),
    ],
)
def test_other_classes_than_the_config_s(folder, metainfo, message):
    with pytest.raises(ValueError, match=message) as caught:
        dataset_of(folder, metainfo=metainfo)
    assert str(folder / "panoptic.json") in str(caught.value)


def test_a_thing_without_a_box(folder):
    content = json.loads((folder / "panoptic.json").read_text())
    content["annotations"][1]["segments_info"][2]["bbox"] = []
    (folder / "panoptic.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"two\.png.*segment 9.*bbox"):
        dataset_of(folder)


def load(dataset, index, **options):
    info = dataset.get_data_info(index)
    return mask2former.LoadPanopticAnnotations(**options)(
        {**info, "ori_shape": (info["height"], info["width"])}
    )


def test_transform_gives_boxes_masks_and_classes(folder):
    results = load(dataset_of(folder), 0)
    assert results["gt_bboxes"].tensor.tolist() == [[0, 0, 2, 2], [3, 0, 4, 3]]
    assert results["gt_bboxes_labels"].tolist() == [1, 0]
    assert results["gt_ignore_flags"].tolist() == [False, False]
    np.testing.assert_array_equal(results["gt_masks"].masks, [IDS == 5, IDS == 9])
    np.testing.assert_array_equal(
        results["gt_seg_map"], [[1, 1, 255, 0], [1, 1, 255, 0], [2, 2, 2, 0]]
    )


def test_transform_leaves_out_what_is_not_wanted(folder):
    results = load(dataset_of(folder), 0, with_seg=False, with_bbox=False)
    assert "gt_masks" in results
    assert "gt_seg_map" not in results
    assert "gt_bboxes" not in results


@settings(max_examples=25, deadline=None)
@given(ids=arrays(np.int32, (5, 6), elements=st.sampled_from([0, 1, 256, 65536, 2**24 - 1])))
def test_every_pixel_has_the_class_of_its_segment(tmp_path_factory, ids):
    folder = tmp_path_factory.mktemp("labels")
    categories = {1: 1, 256: 2, 65536: 7, 2**24 - 1: 1}
    write_panoptic(folder, {"one": (ids, categories)})
    results = load(dataset_of(folder), 0)
    number = {0: 255, 1: 1, 256: 0, 65536: 2, 2**24 - 1: 1}
    for row in range(5):
        for column in range(6):
            segment = int(ids[row, column])
            assert results["gt_seg_map"][row, column] == number[segment]
            covered = [k for k, mask in enumerate(results["gt_masks"].masks) if mask[row, column]]
            if number[segment] in (0, 1):  # a thing's pixel is in one mask, of the same class
                assert results["gt_bboxes_labels"][covered].tolist() == [number[segment]]
            else:
                assert covered == []


def test_errors_name_the_png(folder):
    dataset, png = dataset_of(folder), folder / "panoptic" / "one.png"
    png.write_bytes(panoptic_png(np.where(IDS == 9, 0, IDS)))
    with pytest.raises(ValueError, match=r"one\.png: no pixel has the listed segment id 9"):
        load(dataset, 0)
    png.write_bytes(panoptic_png(IDS[:2]))
    with pytest.raises(ValueError, match=r"one\.png.*\(2, 4\)"):
        load(dataset, 0)
    png.unlink()
    with pytest.raises(FileNotFoundError, match=r"one\.png"):
        load(dataset, 0)
    with pytest.raises(ValueError, match="local files"):
        mask2former.LoadPanopticAnnotations(backend_args={"backend": "petrel"})


def test_mmdet_s_pipeline_takes_it(folder, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (4, 3)).save(tmp_path / "photos" / "one.jpg")
    dataset = mask2former.PanopticLabelDataset(
        metainfo=METAINFO,
        labels=str(folder),
        data_root=str(tmp_path),
        data_prefix={"img": "photos"},
        pipeline=[
            {"type": "trace_mm.LoadImageFromFile"},
            {"type": "trace_mm.LoadPanopticAnnotations"},
            {"type": "mmdet.RandomFlip", "prob": 1.0},
            {"type": "mmdet.PackDetInputs"},
        ],
    )
    sample = dataset[0]["data_samples"]
    np.testing.assert_array_equal(sample.gt_instances.masks.masks[0], (IDS == 5)[:, ::-1])
    assert sample.gt_sem_seg.sem_seg[0].tolist() == [[0, 255, 1, 1], [0, 255, 1, 1], [0, 2, 2, 2]]


def test_things_may_be_one_class(folder):
    metainfo = {"thing_classes": ["animal"], "stuff_classes": ["grass"]}
    info = dataset_of(folder, metainfo=metainfo, things_as="animal").get_data_info(0)
    assert [one["bbox_label"] for one in info["instances"]] == [0, 0]
    assert [one["category"] for one in info["segments_info"]] == [1, 0, 0]


@pytest.mark.parametrize("to_float32", [False, True])
def test_photos_are_those_that_mmdet_loads(tmp_path, to_float32):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    ours = mask2former.LoadImageFromFile(to_float32=to_float32)
    theirs = LoadImageFromFile(to_float32=to_float32)
    found, expected = (one({"img_path": str(tmp_path / "photo.png")}) for one in (ours, theirs))
    np.testing.assert_array_equal(found["img"], expected["img"])
    assert found["img"].dtype == expected["img"].dtype
    assert found["img_shape"] == found["ori_shape"] == expected["ori_shape"] == (5, 7)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
def test_photos_are_turned_as_their_labels_are(tmp_path, stored, labelled):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 3), "red").save(tmp_path / "photo.png", exif=exif)
    size = (3, 4) if stored else (4, 3)
    info = {"img_path": str(tmp_path / "photo.png"), "height": size[0], "width": size[1]}
    if labelled:  # whose size goes before what a file states
        (tmp_path / "labels.png").write_bytes(panoptic_png(np.zeros(size, dtype=np.int32)))
        info.update(seg_map_path=str(tmp_path / "labels.png"), height=size[1], width=size[0])
    found = mask2former.LoadImageFromFile()(info)
    assert found["ori_shape"] == size
    assert found["img"][0, 0].tolist() == [0, 0, 255]


def test_the_inferencer_of_mmdet_finds_the_loader():
    name = TRANSFORMS.get("LoadImageFromFile").__name__
    assert name == LoadImageFromFile.__name__
