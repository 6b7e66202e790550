"""Which images and maps a run of pseudo-panoptic labels takes, and which it refuses."""

import json
import os

import pytest

from tests.panoptic_data import CLASSES, write_map, write_panoptic_data
from tests.touching_squares import image_name
from trace_mm.jobs.panoptic_inputs import find_inputs
from trace_mm.jobs.places import panoptic_places
from trace_mm.panoptic import SemanticMaps
from trace_mm.runs.engine import check_places


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data", count=3)


def find(data, images=None, semantic=None, annotations=None):
    return find_inputs(
        images or data / "photos", SemanticMaps(semantic or data / "maps", CLASSES), annotations
    )


def check(data, out, semantic=None, annotations=None):
    semantic = semantic or data / "maps"
    check_places(panoptic_places(data / "photos", semantic, out, read=[annotations]))


def test_ids_count_all_images_by_name(data):
    (data / "maps" / f"{image_name(2)}.png").unlink()
    found = find(data)
    names = [f"{image_name(number)}.png" for number in (1, 2, 3)]
    assert found.names == names
    assert list(found.ids) == [1, 2, 3]
    assert found.with_map() == [names[0], names[2]]
    assert found.without_map() == [names[1]]


def test_the_state_of_a_map_changes_with_it(data):
    name = f"{image_name(2)}.png"
    before = find(data).map_state(1)
    write_map(data / "maps", 2)
    os.utime(data / "maps" / name, ns=(1, 1))
    after = find(data).map_state(1)
    assert before != after
    (data / "maps" / name).unlink()
    assert find(data).map_state(1) == ""


@pytest.mark.parametrize(("count", "most"), [(3, 24), (3, 2), (3, 1), (3, 0)])
def test_shown_images_are_spread_over_all(data, count, most):
    found = find(data)
    shown = found.shown(most)
    assert len(shown) == min(count, most)
    assert shown <= set(found.names)
    assert most == 0 or f"{image_name(1)}.png" in shown


@pytest.mark.parametrize("other", ["000000000002.jpg", "000000000002.JPEG"])
def test_images_of_one_stem_are_refused(data, other):
    (data / "photos" / other).write_bytes(b"")
    message = rf"000000000002\.png and .*{other}|{other} and .*000000000002\.png"
    with pytest.raises(ValueError, match=message):
        find(data)


def test_images_whose_stems_differ_in_case_are_refused(data):
    for name in ("a.png", "A.jpg"):
        (data / "photos" / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"A\.jpg and .*a\.png: their labels would have one name"):
        find(data)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("maps", "data"),
        ("photos", "data/photos"),
        ("photos", "data/photos/x"),
        ("maps", "data/maps"),
    ],
)
def test_results_are_not_written_among_what_is_read(data, tmp_path, source, out):
    if out == "data":  # whose semantic/ are the maps
        (data / "maps").rename(data / "semantic")
        with pytest.raises(ValueError, match=r"onto .*semantic, which is read"):
            check(data, data, semantic=data / "semantic")
        return
    with pytest.raises(ValueError, match=rf"lies in .*{source}, which is read: write elsewhere"):
        check(data, tmp_path / out)


def test_results_may_lie_beside_what_is_read(data):
    check(data, data)


def test_missing_input(data, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of images"):
        find(data, images=tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="empty: there is no image in it"):
        find(data, images=tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of semantic maps"):
        find(data, semantic=tmp_path / "nowhere")
    write_map(tmp_path / "others", 7)
    with pytest.raises(ValueError, match="none of its 1 semantic maps is called like one of the 3"):
        find(data, semantic=tmp_path / "others")


def test_ids_are_not_read_from_what_will_be_written(data):
    (data / "out").mkdir()
    listed = data / "out" / "instances.json"
    listed.write_text("{}")
    with pytest.raises(ValueError, match=r"would be written onto .*instances\.json, which is read"):
        check(data, data / "out", annotations=listed)


def test_an_image_has_one_id(data, tmp_path):
    names = [f"{image_name(number)}.png" for number in (1, 2, 3)]
    images = [{"id": 7, "file_name": names[0]}, {"id": 8, "file_name": f"train/{names[0]}"}]
    images += [{"id": number, "file_name": name} for number, name in enumerate(names[1:], 20)]
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps({"images": images}))
    with pytest.raises(ValueError, match=r"listed\.json: the images 7 and 8 would both be"):
        find(data, annotations=listed)
    listed.write_text(json.dumps({"images": images[::2] + images[3:]}))
    assert list(find(data, annotations=listed).ids) == [7, 20, 21]


def test_images_are_taken_by_rising_id(data, tmp_path):
    names = [f"{image_name(number)}.png" for number in (3, 1, 2)]
    images = [{"id": number, "file_name": name} for number, name in enumerate(names, 5)]
    (tmp_path / "listed.json").write_text(json.dumps({"images": images}))
    found = find(data, annotations=tmp_path / "listed.json")
    assert list(found.by_rising_id()) == [2, 0, 1]
