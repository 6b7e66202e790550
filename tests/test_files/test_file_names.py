"""Files are found by whatever other systems and tools call them."""

import unicodedata

import pytest

from trace_mm.files.file_names import FileIndex, ListedImages, Listings, name_parts, plain_name

COMPOSED = unicodedata.normalize("NFC", "Käse/é.png")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
CITY = "aachen_000000_000019"


def folder_of(path, *names):
    for name in names:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return path


def found(folder, name, image_id=7):
    path = ListedImages(folder).find(name, image_id)
    return None if path is None else path.relative_to(folder).as_posix()


@pytest.mark.parametrize("name", ["sub/a.png", "sub\\a.png", ".\\sub\\a.png", "./sub//a.png"])
def test_slashes_of_any_system(tmp_path, name):
    folder_of(tmp_path, "sub/a.png", "a.png")
    assert found(tmp_path, name) == "sub/a.png"
    assert Listings().find(tmp_path, name) == tmp_path / "sub" / "a.png"


@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("listed", [COMPOSED, DECOMPOSED])
def test_letters_of_any_system(tmp_path, written, listed):
    folder_of(tmp_path, written)
    assert found(tmp_path, listed) == written
    assert Listings().find(tmp_path, listed) == tmp_path / written
    assert FileIndex([f"x/{written}"]).find(listed) == [0]


def test_the_same_form_comes_first(tmp_path):
    folder_of(tmp_path, COMPOSED, DECOMPOSED, "a\\b.png", "a/b.png")
    for name in (COMPOSED, DECOMPOSED, "a\\b.png", "a/b.png"):
        assert found(tmp_path, name) == name


def test_names_do_not_lead_out_of_a_folder(tmp_path):
    folder_of(tmp_path, "a.png", "in/b.png")
    for name in ("../a.png", "..\\a.png", str(tmp_path / "a.png"), "", ".", "b.png/", "/b.png"):
        assert Listings().find(tmp_path / "in", name) is None
    assert Listings().find(tmp_path / "none", "a.png") is None


def test_photos_may_lie_where_a_path_says(tmp_path):
    folder_of(tmp_path, "a.png", "in/b.png")
    images = ListedImages(tmp_path / "in")
    assert images.find("../a.png") == tmp_path / "in" / ".." / "a.png"
    assert images.find(str(tmp_path / "a.png")) == tmp_path / "a.png"
    assert images.find("\0") is None


@pytest.mark.parametrize("name", ["train2017/x.jpg", "C:\\data\\x.jpg", "/data/x.jpg", "x.png"])
def test_folders_and_suffixes_may_differ(tmp_path, name):
    folder_of(tmp_path, "x.jpg", "other/y.jpg")
    assert found(tmp_path, name) == "x.jpg"
    assert found(tmp_path, "y.jpg") == "other/y.jpg"
    assert found(tmp_path, "z.jpg") is None


@pytest.mark.parametrize(
    "file",
    [
        f"{CITY}_leftImg8bit.png",
        f"aachen/{CITY}_leftImg8bit.png",
        f"{CITY}_leftImg8bit.jpg",
        f"{CITY}.png",
        f"{CITY}_photo.png",
    ],
)
def test_names_of_cityscapes_scripts(tmp_path, file):
    folder_of(tmp_path, file, "aachen_000000_000020_leftImg8bit.png", "aachen_000000_000018.png")
    assert found(tmp_path, f"{CITY}_gtFine_leftImg8bit.png", CITY) == file


def test_an_id_that_starts_several_names(tmp_path):
    folder_of(tmp_path, f"{CITY}_a.png", f"{CITY}_b.png")
    with pytest.raises(ValueError, match=r"may be any of 2 files: .*_a\.png, .*_b\.png"):
        found(tmp_path, f"{CITY}_gtFine_leftImg8bit.png", CITY)
    assert found(tmp_path, "other_gtFine_leftImg8bit.png", CITY) is None


def test_coarse_names_of_cityscapes_have_other_ids(tmp_path):
    folder_of(tmp_path, f"{CITY}_leftImg8bit.png")
    name = f"{CITY}_gtCoarse_leftImg8bit.png"
    assert found(tmp_path, name, f"{CITY}_gtCoarse_instanceIds.png") == f"{CITY}_leftImg8bit.png"


def test_all_images_of_a_list(tmp_path):
    folder_of(tmp_path, "a.jpg", "b.jpg")
    images = ListedImages(tmp_path)
    assert images.find_all([("b.jpg", 1), ("a.jpg", 2)], "x.json") == [
        tmp_path / "b.jpg",
        tmp_path / "a.jpg",
    ]
    missing = r"c\.jpg: no such image \(2 of 3 that x\.json lists"
    with pytest.raises(FileNotFoundError, match=missing):
        images.find_all([("a.jpg", 1), ("c.jpg", 2), ("d.jpg", 3)], "x.json")
    with pytest.raises(ValueError, match=r"x\.json: the images 1 and 2 would both be .*a\.jpg"):
        images.find_all([("train/a.jpg", 1), ("val/a.jpg", 2)], "x.json")


def test_names_in_a_form_that_can_be_compared():
    assert name_parts("..\\x/./y") == ["x", "y"]
    assert plain_name(f"{CITY}_gtFine_leftImg8bit.png") == f"{CITY}_leftImg8bit"
    assert plain_name(f"{CITY}_gtFine_panoptic.png") == f"{CITY}_gtFine_panoptic"
    assert plain_name("sub\\a.b.JPG") == "sub/a.b"
    assert plain_name("a.b") == "a.b"
    assert plain_name(DECOMPOSED) == plain_name(COMPOSED)
    assert plain_name("") == ""
