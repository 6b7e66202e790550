"""All that read COCO files agree on what they hold, and on what is no such file."""

import copy
import json
import shutil
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.coco_readers import (
    INSTANCE_READERS,
    MASKS,
    NAMES,
    PANOPTIC_READERS,
    by_size,
    instances_content,
    panoptic_content,
    write_photos,
)

VALUES = [
    None, True, False, 0, -1, 1, 2, 1.5, 3.0, 2**31, 2**64, 10**400, float("nan"), float("inf"),
    "", "a", "0", "1", "3", "\0", "\ud800", "../x.png", "sub\\a.png", "a.png", [], [[]], [1],
    [1, 2, 3, 4], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [["x"] * 6], {}, {"id": 1},
    {"size": None, "counts": "0"}, {"size": [12, 17], "counts": [-1, 205]},
]  # fmt: skip
DELETED = object()
FORMS = {  # what tools write of the same thing, by the last key of the way to it
    "id": [float, str],
    "image_id": [float, str],
    "category_id": [float, str],
    "iscrowd": [bool, str, float, lambda value: None],
    "isthing": [bool, str],
    "height": [float, str],
    "width": [float, str],
    "info": [lambda value: None, lambda value: [], lambda value: ""],
}


def ways_in(content, way=()):
    """The ways to all values of a JSON tree but single coordinates."""
    if way:
        yield way
    items = []
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list) and not all(isinstance(one, (int, float)) for one in content):
        items = list(enumerate(content))
    for key, value in items:
        yield from ways_in(value, (*way, key))


def changed(content, way, value):
    """A copy in which one value is another, or is gone."""
    content = copy.deepcopy(content)
    parent = content
    for key in way[:-1]:
        parent = parent[key]
    if value is DELETED:
        del parent[way[-1]]
    else:
        parent[way[-1]] = value
    return content


def check_all(readers, file, content, folder):
    """Read a file by all readers: it is taken, or refused by an error that names a file."""
    file.write_text(json.dumps(content))
    for reader in readers:
        try:
            reader(file)
        except (ValueError, FileNotFoundError) as error:
            assert str(folder) in str(error), f"{reader.__name__}: {error}"
            assert "\n" not in str(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("coco")
    write_photos(path / "photos")
    panoptic_content(path / "panoptic")
    return path


INSTANCES = instances_content()
FUZZ = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.filterwarnings("ignore")
@FUZZ
@given(way=st.sampled_from(list(ways_in(INSTANCES))), value=st.sampled_from([DELETED, *VALUES]))
def test_any_change_of_an_instance_file(folder, way, value):
    content = changed(INSTANCES, way, value)
    check_all(INSTANCE_READERS, folder / "instances.json", content, folder)


@pytest.mark.filterwarnings("ignore")
@FUZZ
@given(data=st.data())
def test_any_change_of_a_panoptic_file(folder, data):
    original = panoptic_content(folder / "panoptic")
    way = data.draw(st.sampled_from(list(ways_in(original))))
    content = changed(original, way, data.draw(st.sampled_from([DELETED, *VALUES])))
    check_all(PANOPTIC_READERS, folder / "panoptic.json", content, folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_any_value_as_a_whole_file(folder, value):
    check_all(INSTANCE_READERS, folder / "instances.json", value, folder)
    check_all(PANOPTIC_READERS, folder / "panoptic.json", value, folder)


def assert_all_agree(readers, file):
    compared = 0
    for reader in readers:
        found = reader(file)
        if found is None:  # it gives no masks, but must take the file
            continue
        compared += 1
        assert set(found) == set(MASKS), reader.__name__
        for key, masks in MASKS.items():
            np.testing.assert_array_equal(found[key], by_size(masks), reader.__name__)
    assert compared >= 2


def in_other_forms(content, draw, key=None):
    """The same content with numbers and flags as other tools write them."""
    if key in FORMS and draw(st.booleans()):
        return draw(st.sampled_from(FORMS[key]))(content)
    if isinstance(content, dict):
        return {name: in_other_forms(value, draw, name) for name, value in content.items()}
    if isinstance(content, list):
        return [in_other_forms(value, draw) for value in content]
    return content


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_all_readers_see_the_same_in_any_form(folder, data):
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    instances = in_other_forms(INSTANCES, data.draw)
    panoptic = in_other_forms(panoptic_content(folder / "panoptic"), data.draw)
    for name, content, readers in (
        ("instances.json", instances, INSTANCE_READERS),
        ("panoptic.json", panoptic, PANOPTIC_READERS),
    ):
        (folder / name).write_text(json.dumps(content), encoding=encoding)
        assert_all_agree(readers, folder / name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_all_readers_find_the_same_files(tmp_path, form):
    names = {1: "Bücher/ä.png", 2: "Bücher/b.png"}
    other = "NFD" if form == "NFC" else "NFC"
    for folder in ("photos", "panoptic"):
        panoptic = panoptic_content(tmp_path / folder)
        for key, name in names.items():
            target = tmp_path / folder / unicodedata.normalize(other, name)
            target.parent.mkdir(exist_ok=True)
            shutil.move(tmp_path / folder / NAMES[key], target)
    instances = instances_content()
    for image in (*instances["images"], *panoptic["images"], *panoptic["annotations"]):
        name = names[image.get("id", image.get("image_id"))]
        image["file_name"] = unicodedata.normalize(form, name).replace("/", "\\")
    for file, content, readers in (
        ("instances.json", instances, INSTANCE_READERS),
        ("panoptic.json", panoptic, PANOPTIC_READERS),
    ):
        (tmp_path / file).write_text(json.dumps(content))
        assert_all_agree(readers, tmp_path / file)
