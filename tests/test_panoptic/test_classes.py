"""Class files: what they mean, which are shipped, and what is wrong with others."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.panoptic import PanopticClasses, shipped_class_files


def write(folder, **content):
    path = folder / "classes.json"
    path.write_text(json.dumps(content))
    return path


def test_background_is_0_then_things_then_other_stuff(tmp_path):
    path = write(tmp_path, thing_classes=["cat", "dog"], stuff_classes=["background", "sky"])
    classes = PanopticClasses.from_file(path)
    assert classes.names == ("cat", "dog", "background", "sky")
    assert classes.num_things == 2
    assert classes.semantic_ids == {1: 0, 2: 1, 0: 2, 3: 3}
    assert classes.category_ids == (1, 2, 3, 4)
    assert classes.categories() == [
        {"id": 1, "name": "cat", "isthing": 1},
        {"id": 2, "name": "dog", "isthing": 1},
        {"id": 3, "name": "background", "isthing": 0},
        {"id": 4, "name": "sky", "isthing": 0},
    ]


def test_without_background_0_is_void():
    classes = PanopticClasses.create(["cat"], ["sky", "background"])
    assert classes.ids == (1, 2, 3)
    found = classes.classes_of(np.array([[0, 1, 2, 3, 255]], dtype=np.uint8))
    assert found.tolist() == [[-1, 0, 1, 2, -1]]
    assert found.dtype == np.int32


def test_ids_and_category_ids_may_be_given(tmp_path):
    path = write(
        tmp_path,
        thing_classes=["cat"],
        stuff_classes=["sky"],
        ids={"sky": 0, "cat": 300},
        category_ids={"cat": 17, "sky": 187},
    )
    classes = PanopticClasses.from_file(path)
    assert classes.classes_of(np.array([[0, 300]])).tolist() == [[1, 0]]
    assert [category["id"] for category in classes.categories()] == [17, 187]


def test_the_shipped_classes_of_voc():
    classes = PanopticClasses.from_file("voc2012")
    assert (classes.num_things, classes.stuff_classes) == (20, ("background",))
    assert classes.semantic_ids[0] == 20  # background
    assert classes.names[classes.semantic_ids[15]] == "person"
    assert classes.category_ids == tuple(range(1, 22))


def test_the_shipped_classes_of_coco():
    classes = PanopticClasses.from_file("coco2017")
    assert (classes.num_things, len(classes.stuff_classes)) == (80, 53)
    assert classes.ids == tuple(range(1, 134))  # 0 is void
    by_name = dict(zip(classes.names, classes.category_ids, strict=True))
    assert by_name["person"] == 1
    assert by_name["toothbrush"] == 90
    assert by_name["banner"] == 92
    assert by_name["sky-other-merged"] == 187
    assert by_name["rug-merged"] == 200
    assert list(classes.category_ids) == sorted(classes.category_ids)


def test_shipped_files_are_listed():
    assert list(shipped_class_files()) == ["coco2017", "cocostuff", "voc2012"]


def test_more_classes_than_8_bits_hold():
    """Their ids have no gap, and 255 is one of them, so that 65535 is void."""
    names = [str(number) for number in range(1, 301)]
    classes = PanopticClasses.create(names, [])
    assert classes.ids == tuple(range(1, 301)) and classes.void_id == 65535
    ids = np.array([[255, 65535, 0]], dtype=np.uint16)
    assert classes.classes_of(ids).tolist() == [[254, -1, -1]]
    assert PanopticClasses.create(names[:254], []).void_id == 255


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="voc2013: no such class file; shipped are coco"):
        PanopticClasses.from_file("voc2013")


GOOD = {"thing_classes": ["cat", "dog"], "stuff_classes": ["sky"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thing_classes": ["cat", "cat"]}, "class 'cat' occurs twice"),
        ({"stuff_classes": ["dog"]}, "class 'dog' occurs twice"),
        ({"thing_classes": [], "stuff_classes": []}, "at least one class"),
        ({"thing_classes": "cat"}, "thing_classes must be a list of names"),
        ({"stuff_classes": [1]}, "stuff_classes must be a list of names"),
        ({"ids": {"cat": 1, "dog": 2}}, "ids lacks the class 'sky'"),
        ({"ids": {"cat": 1, "dog": 2, "sky": 3, "cow": 4}}, "ids has 'cow', which is no class"),
        ({"ids": {"cat": 1, "dog": 2, "sky": 2}}, "ids 2 occurs twice"),
        ({"ids": {"cat": 1, "dog": 2, "sky": 65535}}, "0 to 65534, got 65535"),
        ({"ids": {"cat": 1, "dog": 2, "sky": 65536}}, "0 to 65534, got 65536"),
        ({"ids": {"cat": 1, "dog": 2, "sky": -1}}, "got -1"),
        ({"ids": {"cat": 1, "dog": 2, "sky": "3"}}, "ids must hold a whole number"),
        ({"ids": {"cat": True, "dog": 2, "sky": 3}}, "ids must hold a whole number"),
        ({"category_ids": {"cat": 0, "dog": 2, "sky": 3}}, "must be positive, got 0"),
        ({"classes": []}, "must be an object of thing_classes and stuff_classes"),
    ],
)
def test_a_bad_file_is_named_with_the_cause(tmp_path, change, message):
    path = write(tmp_path, **{**GOOD, **change})
    with pytest.raises(ValueError, match=rf"classes\.json: not a class file: .*{message}"):
        PanopticClasses.from_file(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"thing_classes": []}', "[" * 100000])
def test_what_is_no_class_file(tmp_path, text):
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"classes\.json: not (a class file|valid JSON)"):
        PanopticClasses.from_file(path)


def test_ids_of_no_class_are_named():
    classes = PanopticClasses.from_file("voc2012")
    with pytest.raises(ValueError, match=r"a\.png: ids 21, 40 mean no class; .* 0 to 20, and 255"):
        classes.classes_of(np.array([[0, 21, 40, 255, 40]]), "a.png")
    with pytest.raises(ValueError, match="ids 1000 mean no class"):
        classes.classes_of(np.array([[1000]]))
    with pytest.raises(ValueError, match=r"ids 30, 31, 32, 33, 34 and 2 more"):
        classes.classes_of(np.arange(30, 37)[None])
    with pytest.raises(ValueError, match="0 to 65535, there are -1 to 3"):
        classes.classes_of(np.array([[-1, 3]]))
    with pytest.raises(ValueError, match=r"whole numbers \(H, W\), got float64"):
        classes.classes_of(np.array([[0.5]]))


def test_a_description_changes_with_any_number():
    first = PanopticClasses.create(["cat"], ["sky"])
    other = PanopticClasses.create(["cat"], ["sky"], category_ids={"cat": 1, "sky": 3})
    assert first.describe() != other.describe()
    assert first.describe() == PanopticClasses.create(["cat"], ["sky"]).describe()
    assert first.describe().startswith("1 things, 1 stuff")


@st.composite
def class_lists(draw):
    names = draw(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=8, unique=True))
    ids = st.integers(0, 65534) | st.integers(250, 260)
    numbers = draw(st.lists(ids, min_size=len(names), max_size=len(names), unique=True))
    things = draw(st.integers(0, len(names)))
    ids = dict(zip(names, numbers, strict=True))
    return PanopticClasses.create(names[:things], names[things:], ids)


@given(classes=class_lists(), data=st.data())
def test_class_numbers_become_ids_and_back(classes, data):
    number = st.integers(-1, len(classes.names) - 1)
    rows = data.draw(st.lists(st.lists(number, min_size=3, max_size=3), min_size=1, max_size=3))
    numbers = np.array(rows, dtype=np.int32)
    ids = classes.ids_of(numbers)
    assert ids.dtype == (np.uint8 if max(classes.ids) < 255 else np.uint16)
    for found, given_number in zip(ids.flat, numbers.flat, strict=True):
        void = 255 if ids.dtype == np.uint8 else 65535
        assert found == (void if given_number == -1 else classes.ids[given_number])
    np.testing.assert_array_equal(classes.classes_of(ids), numbers)
