"""What a browser may send, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from trace_mm.app.photos import Limits, read_masks, read_photo

LIMITS = Limits(pixels=5000, megabytes=0.1)
SIZE = (40, 60)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "dog.png")
    return tmp_path / "dog.png"


def test_a_photo_within_the_limits(photo):
    found = read_photo(photo, LIMITS)
    assert (found.name, found.pixels.shape) == ("dog.png", (*SIZE, 3))
    np.testing.assert_array_equal(np.rint(found.pixels * 255), np.asarray(Image.open(photo)))


def test_a_photo_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    Image.new("RGB", (101, 50)).save(tmp_path / "large.png")
    monkeypatch.setattr("trace_mm.app.photos.load_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"^large.png: 101 x 50 pixels.*5000"):
        read_photo(tmp_path / "large.png", LIMITS)


def test_a_file_of_too_many_bytes(tmp_path):
    (tmp_path / "long.jpg").write_bytes(b"\xff" * 100_001)
    with pytest.raises(ValueError, match=r"^long.jpg: larger than 0.1 megabytes"):
        read_photo(tmp_path / "long.jpg", LIMITS)


@pytest.mark.parametrize(
    ("content", "cause"), [(b"", "empty"), (b"text", "not an image"), (None, "damaged")]
)
def test_a_broken_photo_is_named_without_its_folder(photo, tmp_path, content, cause):
    broken = tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:600] if content is None else content)
    with pytest.raises(ValueError, match=rf"^broken.png: .*{cause}"):
        read_photo(broken, LIMITS)


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^gone.jpg: .*upload it again"):
        read_photo(tmp_path / "gone.jpg", LIMITS)


@pytest.mark.parametrize("limits", [{"pixels": 0}, {"megabytes": 0}, {"megabytes": -1}])
def test_limits_are_positive(limits):
    with pytest.raises(ValueError, match="positive"):
        Limits(**limits)


def _coco(path, *names):
    """A file with one square for each image, at a column that is its number times ten."""
    images = [
        {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for number, name in enumerate(names, 1)
    ]
    squares = [
        {
            "id": image["id"],
            "image_id": image["id"],
            "category_id": 1,
            "iscrowd": 0,
            "area": 25,
            "bbox": [10 * image["id"], 5, 5, 5],
            "segmentation": [_square(10 * image["id"], 5)],
        }
        for image in images
    ]
    categories = [{"id": 1, "name": "thing"}]
    content = {"images": images, "annotations": squares, "categories": categories}
    path.write_text(json.dumps(content))
    return path


def _square(left, top):
    return [left, top, left + 5, top, left + 5, top + 5, left, top + 5]


@pytest.mark.parametrize(
    ("names", "photo", "column"),
    [
        (["cat.jpg", "dog.jpg"], "dog.jpg", 20),
        (["cat.jpg", "a/dog.png"], "dog.jpg", 20),  # another suffix, as after a conversion
        (["0001.jpg"], "dog.jpg", 10),  # the only one
    ],
)
def test_masks_of_a_coco_file(tmp_path, names, photo, column):
    found = read_masks(_coco(tmp_path / "masks.json", *names), photo, SIZE, LIMITS)
    expected = np.zeros((1, *SIZE), bool)
    expected[0, 5:10, column : column + 5] = True
    np.testing.assert_array_equal(found.masks, expected)


def test_masks_of_a_png_are_its_numbers(tmp_path):
    ids = np.zeros(SIZE, np.uint16)
    ids[3:9, 4:8], ids[20:30, 30:50] = 2, 300
    Image.fromarray(ids).save(tmp_path / "ids.png")
    found = read_masks(tmp_path / "ids.png", "dog.jpg", SIZE, LIMITS)
    np.testing.assert_array_equal(found.masks, [ids == 2, ids == 300])


def test_masks_that_do_not_belong_to_the_photo(tmp_path):
    several = _coco(tmp_path / "masks.json", "cat.jpg", "cow.jpg")
    with pytest.raises(ValueError, match=r"^masks.json: 2 images, of which none is dog.jpg"):
        read_masks(several, "dog.jpg", SIZE, LIMITS)
    Image.fromarray(np.ones((9, 9), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"small\.png"):
        read_masks(tmp_path / "small.png", "dog.jpg", SIZE, LIMITS)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"^none.png: there is no mask"):
        read_masks(tmp_path / "none.png", "dog.jpg", SIZE, LIMITS)
    (tmp_path / "masks.txt").write_text("")
    with pytest.raises(ValueError, match=r"^masks.txt: masks must be"):
        read_masks(tmp_path / "masks.txt", "dog.jpg", SIZE, LIMITS)
