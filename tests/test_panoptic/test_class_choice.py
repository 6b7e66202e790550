"""Which numbering of COCO's classes the ids in semantic maps follow."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trace_mm.panoptic import PanopticClasses, choose_classes, class_names
from trace_mm.panoptic.class_choice import FAMILIES, VARIANTS

CLASSES = {variant.name: variant.classes() for variant in VARIANTS}
COCO = CLASSES["coco2017-contiguous"]


def write(folder, ids, name="a"):
    """A map that holds some ids, one row each."""
    folder.mkdir(exist_ok=True)
    rows = np.repeat(np.array([*ids], dtype=np.uint8)[:, None], 4, axis=1)
    Image.fromarray(np.repeat(rows, 3, axis=0)).save(folder / f"{name}.png")
    return folder


def name_of(classes, number):
    return classes.names[classes.semantic_ids[number]]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_all_ids_of_a_numbering_show_it(variant, tmp_path):
    ids = {*CLASSES[variant.name].ids, 0}
    classes, note = choose_classes(variant.file, write(tmp_path / "maps", ids))
    assert classes == CLASSES[variant.name]
    assert f"taken for {variant.name} " in note and "--classes says otherwise: " in note


@pytest.mark.parametrize("name", ["coco2017", "coco"])
def test_things_by_cocos_own_ids(name, tmp_path):
    own = [COCO.category_ids[index] for index in range(COCO.num_things)]
    classes, note = choose_classes(name, write(tmp_path / "maps", [0, *own]))
    assert [name_of(classes, number) for number in (17, 18, 67, 70)] == [
        "cat",
        "dog",
        "dining table",
        "toilet",
    ]
    assert "1 is person" in note


def test_things_without_a_gap(tmp_path):
    classes, _ = choose_classes("coco2017", write(tmp_path / "maps", range(81)))
    assert [name_of(classes, number) for number in (16, 17, 61, 62)] == [
        "cat",
        "dog",
        "dining table",
        "toilet",
    ]


def test_ids_that_mean_the_same_need_no_decision(tmp_path):
    classes, note = choose_classes("coco2017", write(tmp_path / "maps", [0, 1, 3, 11]))
    assert [name_of(classes, number) for number in (1, 3, 11)] == ["person", "car", "fire hydrant"]
    assert "coco2017-contiguous" in note


def test_ids_that_may_mean_two_things_stop_the_run(tmp_path):
    folder = write(tmp_path / "maps", [0, 17, 18])
    with pytest.raises(
        ValueError, match=r"maps: the ids fit several numberings of coco2017"
    ) as info:
        choose_classes("coco2017", folder)
    assert "--classes coco2017-contiguous" in str(info.value) and "17 is dog" in str(info.value)
    assert "--classes coco2017-own" in str(info.value) and "17 is cat" in str(info.value)
    classes, note = choose_classes("coco2017-own", folder)
    assert (name_of(classes, 17), note) == ("cat", "")


def test_ids_of_no_numbering_stop_the_run(tmp_path):
    with pytest.raises(ValueError, match=r"maps: ids 230, 240 are of none of the numberings"):
        choose_classes("coco2017", write(tmp_path / "maps", [1, 2, 230, 240]))


def test_one_odd_map_of_many_does_not(tmp_path):
    for number in range(40):
        write(tmp_path / "maps", CLASSES["coco2017-own"].ids, f"map{number}")
    write(tmp_path / "maps", [1, 230], "odd")
    assert choose_classes("coco2017", tmp_path / "maps")[0] == CLASSES["coco2017-own"]


def test_masks_in_black_and_white_name_no_class(tmp_path):
    with pytest.raises(ValueError, match=r"maps: the maps hold 255, which is void, and 0, but no"):
        choose_classes("voc2012", write(tmp_path / "maps", [0, 255]))


def test_maps_of_objects_are_told(tmp_path):
    (tmp_path / "maps").mkdir()
    ids = np.repeat([[0, 7, 26000, 26001, 24000]], 4, axis=0).astype(np.uint16)
    Image.fromarray(ids).save(tmp_path / "maps" / "a.png")
    with pytest.raises(ValueError, match=r"maps: ids are class \* 1000 \+ number of the object"):
        choose_classes("coco2017", tmp_path / "maps")


def test_scores_show_it_by_their_number(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((171, 2, 2), dtype=np.float32))
    assert choose_classes("coco", tmp_path)[0].names == CLASSES["cocostuff-own"].names


def test_class_files_and_names_are_taken_at_their_word(tmp_path):
    folder = write(tmp_path / "maps", [0, 15])
    assert choose_classes("voc2012", folder)[0] == PanopticClasses.from_file("voc2012")
    with pytest.raises(FileNotFoundError, match="nowhere: no such class file"):
        choose_classes("nowhere", folder)
    with pytest.raises(FileNotFoundError, match="no such folder of semantic maps"):
        choose_classes("coco2017", tmp_path / "nothing")


def test_numberings_are_as_their_owners_have_them():
    """Labels of COCO-Stuff from 1, its files from 0; MMDetection and MMSegmentation from 0."""
    expected = {
        "coco2017-contiguous": {"person": 1, "toothbrush": 80, "banner": 81, "rug-merged": 133},
        "coco2017-own": {"person": 1, "toothbrush": 90, "banner": 92, "rug-merged": 200},
        "coco2017-from-0": {"person": 0, "toothbrush": 79, "banner": 80, "rug-merged": 132},
        "cocostuff-own": {"person": 1, "toothbrush": 90, "banner": 92, "branch": 94, "wood": 182},
        "cocostuff-pixelmaps": {"person": 0, "toothbrush": 89, "banner": 91, "wood": 181},
        "cocostuff-from-0": {"person": 0, "toothbrush": 79, "banner": 80, "wood": 170},
    }
    for name, numbers in expected.items():
        assert {
            one: CLASSES[name].ids[CLASSES[name].names.index(one)] for one in numbers
        } == numbers
    assert {*class_names()} == {*expected, *FAMILIES, "voc2012"}


@given(st.sampled_from(VARIANTS), st.data())
def test_what_is_taken_is_never_of_another_class(variant, data):
    """Whatever is seen: the meaning is right, or the run stops."""
    if variant.zero_is_class and variant.file == "coco2017":
        return  # whose 0 is told from background only by a 255
    own = CLASSES[variant.name]
    ids = data.draw(st.sets(st.sampled_from(own.ids), min_size=1, max_size=12))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "maps", ids)
        try:
            found, _ = choose_classes(variant.file, Path(folder) / "maps")
        except ValueError:
            return
    if variant.file == "coco2017":
        assert [name_of(found, number) for number in ids] == [name_of(own, n) for n in ids]
