"""No two images of a test have one picture."""

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from trace_mm.engine.picture_names import flat_name_of_id, name_of_id, names_of_paths

IDS = st.text(st.sampled_from("a1_./%:\\ "), max_size=6)


def test_ids_are_paths():
    assert name_of_id(17) == "17"
    assert name_of_id("a/1") == "a/1" and name_of_id("a_1") == "a_1"
    assert flat_name_of_id("a/1") == "a%2F1"
    assert name_of_id("../a:b") == "%2E2E/a%3Ab"
    assert name_of_id("/a//b.png") == "%/a/%/b.png"


@given(IDS, IDS)
def test_different_ids_have_different_names(first, second):
    for name in (name_of_id, flat_name_of_id):
        assert (name(first) == name(second)) == (first == second)


@given(IDS)
def test_names_stay_within_their_folder(image_id):
    path = PurePosixPath("out") / f"{name_of_id(image_id)}.png"
    assert path.parts[0] == "out" and ".." not in path.parts and path.suffix == ".png"
    assert "/" not in flat_name_of_id(image_id)


def test_paths_below_the_folder_of_all_images():
    assert names_of_paths([]) == {}
    assert names_of_paths(["/data/a.jpg"]) == {"/data/a.jpg": "a"}
    paths = ["/data/x/1.jpg", "/data/y/1.jpg", "/data/y/1.png"]
    assert list(names_of_paths(paths).values()) == ["x/1", "y/1.jpg", "y/1.png"]
