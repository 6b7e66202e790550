import numpy as np
import pytest
from PIL import Image

from trace_mm.datasets import ScoreMapDataset
from trace_mm.datasets.converters import convert_coco_object
from trace_mm.datasets.semantic_protocols import semantic_protocol
from trace_mm.datasets.simulated_scores import simulate_scores
from trace_mm.files import instance_annotation
from trace_mm.files.json_file import write_json

SIZE = (8, 12)


def write_png(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(SIZE, values, np.uint8)).save(path)


def write_scores(path, classes=21):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, np.random.default_rng(0).normal(size=(classes, 2, 3)))


@pytest.fixture
def voc(tmp_path):
    """Two images with truth and scores, and one without."""
    for number, name in enumerate(["2007_1", "2007_2", "2008_3"]):
        write_png(tmp_path / f"JPEGImages/{name}.png", number)
        if number < 2:
            write_png(tmp_path / f"SegmentationClass/{name}.png", number * 5)
            write_scores(tmp_path / f"scores/{name}.npz")
    (tmp_path / "val.txt").write_text("2007_2\n2007_1\n")
    return tmp_path


def dataset(root, protocol="voc21", **options):
    folders = {"img_path": "JPEGImages", "seg_path": "SegmentationClass"}
    return ScoreMapDataset(protocol, str(root), folders, **options)


def test_images_with_truth_and_scores(voc):
    data = dataset(voc)
    assert [data.get_data_info(number)["image_id"] for number in range(len(data))] == [
        "2007_1",
        "2007_2",
    ]
    item = data[1]
    assert item["inputs"].shape == (3, *SIZE)
    sample = item["data_samples"]
    assert (sample.gt_classes == 5).all()
    assert sample.class_scores.shape == (21, 2, 3)
    assert data.metainfo["classes"][5] == "bottle"
    assert (dataset(voc, "voc20")[0]["data_samples"].gt_classes == -1).all()


def test_a_list_says_which_images_count(voc):
    data = dataset(voc, ann_file="val.txt")
    assert [data.get_data_info(number)["image_id"] for number in (0, 1)] == ["2007_2", "2007_1"]
    (voc / "val.txt").write_text("2007_1\n2008_3\n")
    with pytest.raises(FileNotFoundError, match="no true map of 2008_3"):
        dataset(voc, ann_file="val.txt")
    (voc / "val.txt").write_text("2009_4\n")
    with pytest.raises(FileNotFoundError, match=r"val\.txt: no image 2009_4"):
        dataset(voc, ann_file="val.txt")


def test_an_image_without_scores_is_an_error(voc):
    (voc / "scores/2007_2.npz").unlink()
    with pytest.raises(FileNotFoundError, match="no score map of 2007_2"):
        dataset(voc)


def test_cityscapes_names_its_files_in_three_ways(tmp_path):
    for stem in ("bonn/bonn_000", "ulm/ulm_000"):
        write_png(tmp_path / f"img/{stem}_leftImg8bit.png", 1)
        write_png(tmp_path / f"gt/{stem}_gtFine_labelIds.png", 7)
        write_png(tmp_path / f"gt/{stem}_gtFine_instanceIds.png", 9)
    write_scores(tmp_path / "scores/bonn_000_leftImg8bit.npz", 19)  # as most methods save them
    write_scores(tmp_path / "scores/ulm/ulm_000.npz", 19)
    folders = {"img_path": "img", "seg_path": "gt"}
    data = ScoreMapDataset("cityscapes19", str(tmp_path), folders)
    assert len(data) == 2
    for number in range(2):
        assert (data[number]["data_samples"].gt_classes == 0).all()  # road


def test_coco_object_maps_are_drawn_in_the_order_of_the_file(tmp_path):
    first, second = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    first[2:5, 2:6], second[4:7, 4:9] = True, True
    content = {
        "images": [
            {"id": number, "file_name": f"{number}.jpg", "height": SIZE[0], "width": SIZE[1]}
            for number in (3, 4)
        ],
        "annotations": [
            {"id": 1, "image_id": 3, **instance_annotation(first, 18)},
            {"id": 2, "image_id": 3, **instance_annotation(second, 1)},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    }
    write_json(tmp_path / "instances.json", content)
    assert convert_coco_object(tmp_path / "instances.json", tmp_path / "maps", False) == 2
    protocol = semantic_protocol("coco-object")
    found = protocol.read(tmp_path / "maps/3.png")
    expected = np.zeros(SIZE, int)
    expected[second] = protocol.classes.index("person")
    expected[first] = protocol.classes.index("dog")
    assert (found == expected).all()
    assert (protocol.read(tmp_path / "maps/4.png") == 0).all()
    content["categories"][0]["name"] = "human"
    write_json(tmp_path / "instances.json", content)
    with pytest.raises(ValueError, match="'human' is none of COCO's 80"):
        convert_coco_object(tmp_path / "instances.json", tmp_path / "maps", False)


def test_simulated_scores_tell_classes_but_for_noise():
    classes = np.zeros((32, 48), np.int32)
    classes[8:24, 24:] = 2
    scores = simulate_scores(classes, 3, tokens=12, noise=0.05, seed=0, index=4)
    assert scores.shape == (3, 8, 12)
    assert (scores.argmax(0)[3:5, 8:] == 2).all()
    assert (scores == simulate_scores(classes, 3, 12, 0.05, 0, 4)).all()
    assert (scores != simulate_scores(classes, 3, 12, 0.05, 0, 5)).any()
