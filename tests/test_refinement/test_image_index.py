"""Image files are found by whatever a source of masks calls them."""

import json

import pytest

from trace_mm.refinement.image_index import ImageIndex
from trace_mm.refinement.readers import BadMaskError, MaskRecord


def folder_of(path, *names):
    for name in names:
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return path


def find(index, image=None, image_id=None):
    return index.find(MaskRecord(image, image_id, None)).relative_to(ROOT[0]).as_posix()


ROOT = []


@pytest.fixture
def index_of(tmp_path):
    ROOT[:] = [tmp_path / "photos"]
    return lambda *names, **options: ImageIndex(folder_of(ROOT[0], *names), **options)


@pytest.mark.parametrize(
    "name",
    [
        "train/cat/a.b.jpg",  # as it lies
        "/data/imagenet/train/cat/a.b.jpg",  # from another machine
        "C:\\imagenet\\train\\cat\\a.b.jpg",
        "cat/a.b.jpg",
        "job_3/a.b.jpg",  # MaskCut names the folder that it read
        "a.b.jpg",
        "a.b",  # of a mask's name
        "cat/a.b",
        "a.b.png",
        "./a.b.jpg",
    ],
)
def test_by_what_the_source_writes(index_of, name):
    index = index_of("train/cat/a.b.jpg", "train/dog/b.jpg", "val/a.jpg")
    assert find(index, name) == "train/cat/a.b.jpg"


def test_as_many_parts_count_as_there_are(index_of):
    index = index_of("cat/1.jpg", "dog/1.jpg", "1.png")
    assert find(index, "train/dog/1.jpg") == "dog/1.jpg"
    assert find(index, "dog/1") == "dog/1.jpg"
    assert find(index, "photos/1.png") == "1.png"
    with pytest.raises(BadMaskError, match=r"'cow/1\.jpg': .* 2 images: .*cat/1\.jpg, .*dog/1"):
        find(index, "cow/1.jpg")


def test_a_name_comes_before_a_stem(index_of):
    index = index_of("a.jpg", "a.jpg.png", "b.jpg", "b.png")
    assert find(index, "a.jpg") == "a.jpg"
    assert find(index, "b.png") == "b.png"
    with pytest.raises(BadMaskError, match=r"'b': it may be any of 2 images: .*b\.jpg, .*b\.png"):
        find(index, "b")


@pytest.mark.parametrize(
    ("image_id", "expected"),
    [
        (139, "000000000139.jpg"),
        (42, "COCO_val2014_000000000042.jpg"),
        (2007000032, "2007_000032.jpg"),
        (32, "2007_000032.jpg"),
        (7, "frame7_left.jpg"),
        ("2007_000032", "2007_000032.jpg"),
        ("000000000139", "000000000139.jpg"),
    ],
)
def test_by_number(index_of, image_id, expected):
    index = index_of(
        "000000000139.jpg", "COCO_val2014_000000000042.jpg", "2007_000032.jpg", "frame7_left.jpg"
    )
    assert find(index, image_id=image_id) == expected


def test_numbers_that_several_names_end_with(index_of):
    index = index_of("2007_000032.jpg", "2008_000032.jpg", "a_5.jpg", "5.jpg")
    assert find(index, image_id=2008000032) == "2008_000032.jpg"
    assert find(index, image_id=5) == "5.jpg"
    with pytest.raises(BadMaskError, match=r"image id 32: .*2007_000032\.jpg, .*2008_000032\.jpg"):
        find(index, image_id=32)


def test_ids_of_a_coco_file(index_of, tmp_path):
    """They replace guesses: an id that the file does not list is no image's number."""
    images = [{"id": 1, "file_name": "b.jpg"}, {"id": "2.0"}, 3, {"id": 4.0, "file_name": "a.jpg"}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images}))
    index = index_of("a.jpg", "b.jpg", "7.jpg", annotations=tmp_path / "coco.json")
    assert find(index, image_id=1) == "b.jpg"
    assert find(index, image_id=4) == "a.jpg"
    assert find(index, "a.jpg", 1) == "a.jpg"
    with pytest.raises(BadMaskError, match=r"image id 7: .*coco\.json lists no image"):
        find(index, image_id=7)


@pytest.mark.parametrize(
    "record",
    [
        MaskRecord("c.jpg", None, None),
        MaskRecord("", None, None),
        MaskRecord("..", None, None),
        MaskRecord("\ud800/\0", None, None),
        MaskRecord(None, None, None),
        MaskRecord(None, 3, None),
        MaskRecord(None, "c", None),
        MaskRecord("a.jpg", 1, None, bad="masks.json: annotations[3]: no object"),
    ],
)
def test_what_is_not_found_is_named(index_of, record):
    index = index_of("a.jpg", "b.jpg")
    with pytest.raises(BadMaskError) as error:
        index.find(record)
    assert str(error.value).isprintable()
    if record.bad is None:
        assert record.name in str(error.value)
        assert str(ROOT[0] / "a.jpg") in str(error.value)
    else:
        assert str(error.value) == record.bad


def test_no_file_belongs_to_two_records(index_of):
    """Masks of two folders with the same names, and images of one of them only."""
    names = ["photos/1.jpg", "others/1.jpg", "photos/2.jpg", "x/3.jpg", "y/3.jpg", "none.jpg"]
    index = index_of("1.jpg", "2.jpg", "3.jpg")
    records = [MaskRecord(name, None, None) for name in names]
    found = index.match(records)
    assert [getattr(path, "name", None) for path in found] == ["1.jpg", None, "2.jpg"] + [None] * 3
    assert all(isinstance(path, BadMaskError) for path in (found[1], *found[3:]))
    assert "'others/1.jpg'" in str(found[1])
    assert "'photos/1.jpg'" in str(found[1])


def test_a_list_of_images(tmp_path):
    folder_of(tmp_path, "a/1.jpg", "b/1.jpg")
    index = ImageIndex([tmp_path / "b/1.jpg"])
    assert index.find(MaskRecord("1.jpg", None, None)) == tmp_path / "b/1.jpg"


def test_bad_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        ImageIndex(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no image in it"):
        ImageIndex(tmp_path)
    folder_of(tmp_path, "a.jpg")
    for content in ({"annotations": []}, [], {"images": {}}):
        (tmp_path / "coco.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"coco\.json: .*'images'"):
            ImageIndex(tmp_path, tmp_path / "coco.json")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": "1", "file_name": "b.jpg"}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images}))
    with pytest.raises(ValueError, match=r"coco\.json: images\[1\]: two images have the id 1"):
        ImageIndex(tmp_path, tmp_path / "coco.json")
