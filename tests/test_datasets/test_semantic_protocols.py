import numpy as np
import pytest
from PIL import Image

from trace_mm.datasets.semantic_protocols import protocol_of, semantic_protocol
from trace_mm.panoptic import PanopticClasses, shipped_class_files

COUNTS = {
    "voc21": 21,
    "voc20": 20,
    "context60": 60,
    "context59": 59,
    "coco-object": 81,
    "coco-stuff171": 171,
    "cityscapes19": 19,
    "ade150": 150,
}


def write(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([ids], np.uint8)).save(path)
    return path


def read(folder, protocol, ids, name="a.png"):
    return semantic_protocol(protocol).read(write(folder / name, ids))[0].tolist()


@pytest.mark.parametrize("name", COUNTS)
def test_each_has_as_many_classes_as_its_name_says(name):
    protocol = semantic_protocol(name)
    assert len(set(protocol.classes)) == COUNTS[name]
    assert (protocol.classes[0] == "background") == (name in ("voc21", "context60", "coco-object"))
    for ids in protocol.suffixes.values():
        assert len(set(ids)) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("voc21", [0, 1, 20, -1]),  # background is a class
        ("voc20", [-1, 0, 19, -1]),  # as MMSegmentation's reduce_zero_label: 0 is void, 1 is 0
        ("context59", [-1, 0, 19, -1]),
        ("ade150", [-1, 0, 19, -1]),
        ("context60", [0, 1, 20, -1]),
        ("coco-object", [0, 1, 20, -1]),
    ],
)
def test_what_zero_means_is_the_protocols(tmp_path, name, expected):
    assert read(tmp_path, name, [0, 1, 20, 255]) == expected


def test_cityscapes_by_training_ids_or_by_its_own(tmp_path):
    own = read(tmp_path, "cityscapes19", [0, 6, 7, 33, 255], "a_gtFine_labelIds.png")
    assert own == [-1, -1, 0, 18, -1]
    ids = read(tmp_path, "cityscapes19", [0, 18, 255], "a_gtFine_labelTrainIds.png")
    assert ids == [0, 18, -1]
    write(tmp_path / "a_gtFine_color.png", [3])
    assert semantic_protocol("cityscapes19").suffix_in(tmp_path) == "_gtFine_labelTrainIds.png"


def test_coco_stuff_by_its_files_or_by_training_ids(tmp_path):
    ids = [0, 79, 89, 91, 181, 255]  # person, hair drier's neighbour, toothbrush, banner, wood
    names = semantic_protocol("coco-stuff171").classes
    found = read(tmp_path, "coco-stuff171", ids[:1] + ids[2:])
    assert [names[number] for number in found[:-1]] == ["person", "toothbrush", "banner", "wood"]
    assert found[-1] == -1
    assert read(tmp_path, "coco-stuff171", [0, 170], "a_labelTrainIds.png") == [0, 170]
    with pytest.raises(ValueError, match=r"ids \[11\] mean none of the 171 classes"):
        read(tmp_path, "coco-stuff171", [11])  # COCO's "street sign", which no image has


def test_names_are_those_that_panoptic_labels_have():
    for name, file in (("coco-stuff171", "cocostuff"), ("coco-object", "coco2017")):
        classes = PanopticClasses.from_file(shipped_class_files()[file])
        names = semantic_protocol(name).classes
        assert (classes.thing_classes + classes.stuff_classes)[: len(names)] == names or (
            classes.thing_classes == names[1:]
        )
    voc = PanopticClasses.from_file("voc2012")
    assert semantic_protocol("voc20").classes == voc.thing_classes


def test_predictions_hold_class_numbers(tmp_path):
    path = write(tmp_path / "a.png", [0, 19, 255])
    assert semantic_protocol("voc20").read_prediction(path)[0].tolist() == [0, 19, -1]
    with pytest.raises(ValueError, match=r"a\.png: ids \[20\] mean none of the 20 classes"):
        semantic_protocol("voc20").read_prediction(write(tmp_path / "a.png", [20]))


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"protocol must be one of voc21, .*, got 'voc'"):
        protocol_of("voc")
    with pytest.raises(ValueError, match="must be 1 to 255 classes"):
        protocol_of([])
    with pytest.raises(ValueError, match="there is no ground truth in it"):
        semantic_protocol("voc21").suffix_in(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder of ground truth"):
        semantic_protocol("voc21").suffix_in(tmp_path / "none")
    assert protocol_of(["a", "b"]).read(write(tmp_path / "a.png", [1, 0, 255]))[0].tolist() == [
        1,
        0,
        -1,
    ]
