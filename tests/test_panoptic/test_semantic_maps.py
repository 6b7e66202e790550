"""Folders of semantic maps: palette and grey PNGs, arrays of ids and of scores."""

import cv2
import numpy as np
import pytest
from PIL import Image

from trace_mm.files.palette import voc_palette
from trace_mm.panoptic import PanopticClasses, SemanticMaps

CLASSES = PanopticClasses.create(["cat", "dog"], ["background"])  # ids 1, 2, 0; numbers 0, 1, 2
IDS = np.array([[0, 1, 1], [255, 2, 2]], dtype=np.uint8)
NUMBERS = [[2, 0, 0], [-1, 1, 1]]


def write_palette(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    image.putpalette(voc_palette().tobytes())
    image.save(path)


def read(folder, name="a.jpg", size=(2, 3), classes=CLASSES):
    maps = SemanticMaps(folder, classes)
    return maps.reader.read(folder / maps.match([name])[0], size).tolist()


def test_a_palette_image(tmp_path):
    write_palette(tmp_path / "a.png", IDS)
    assert read(tmp_path) == NUMBERS


def test_a_grey_image_of_8_bits(tmp_path):
    Image.fromarray(IDS).save(tmp_path / "a.PNG")
    assert read(tmp_path) == NUMBERS


def test_a_grey_image_of_16_bits(tmp_path):
    classes = PanopticClasses.create(["cat"], ["sky"], {"cat": 300, "sky": 1})
    Image.fromarray(np.array([[300, 1], [65535, 0]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert read(tmp_path, size=(2, 2), classes=classes) == [[0, 1], [-1, -1]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_255_is_what_the_classes_say(tmp_path, kind, suffix):
    """It is a class where they say so, and elsewhere void, unless they need 16 bits."""
    ids = np.array([[255, 1]], dtype=kind)
    if suffix == ".png":
        Image.fromarray(ids).save(tmp_path / "a.png")
    else:
        np.save(tmp_path / "a.npy", ids)
    many = PanopticClasses.create([f"thing {number}" for number in range(1, 848)], [])
    for other, found in ((255, [[0, 1]]), (254, [[-1, 1]])):
        classes = PanopticClasses.create(["cat"], ["sky"], {"cat": other, "sky": 1})
        assert read(tmp_path, size=(1, 2), classes=classes) == found
    assert many.ids[254] == 255
    assert read(tmp_path, size=(1, 2), classes=many) == [[254, 0]]
    classes = PanopticClasses.create(["cat"], ["sky"], {"cat": 256, "sky": 1})
    if kind is np.uint8:
        assert read(tmp_path, size=(1, 2), classes=classes) == [[-1, 1]]
    else:
        with pytest.raises(ValueError, match=r"ids 255 mean no class; .*, and 65535 is void"):
            read(tmp_path, size=(1, 2), classes=classes)


def test_names_in_another_form_of_letters(tmp_path):
    composed, decomposed = "\u00e4", "a\u0308"  # two ways to write the same letter
    write_palette(tmp_path / f"{decomposed}.png", IDS)
    assert read(tmp_path, f"{composed}.jpg") == NUMBERS


def test_an_array_of_ids(tmp_path):
    np.save(tmp_path / "a.npy", IDS.astype(np.int64))
    assert read(tmp_path) == NUMBERS


def test_scores_are_by_rising_id_and_the_first_of_equals_counts(tmp_path):
    scores = np.zeros((3, 1, 4), dtype=np.float16)  # of background, cat, dog
    scores[0, 0, 0] = scores[1, 0, 1] = scores[2, 0, 2] = 1
    np.save(tmp_path / "a.npy", scores)
    assert read(tmp_path, size=(1, 4)) == [[2, 0, 1, 2]]


def test_scores_of_another_size_are_resized_before_they_are_compared(tmp_path):
    random = np.random.default_rng(0)
    scores = random.normal(size=(3, 5, 7)).astype(np.float32)
    np.save(tmp_path / "a.npy", scores)
    size = (11, 13)
    resized = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in scores]
    expected = [
        [
            [2, 0, 1][int(np.argmax([plane[row, column] for plane in resized]))]
            for column in range(13)
        ]
        for row in range(11)
    ]
    assert read(tmp_path, size=size) == expected


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((4, 2, 3)), r"scores \(C, h, w\) of the 3 classes, is \(4, 2, 3\)"),
        (np.zeros((3, 0, 3)), r"is \(3, 0, 3\)"),
        (np.full((3, 2, 3), np.nan), "scores must be finite"),
        (np.zeros((3, 9, 6)), r"scores \(9, 6\) have not the shape of \(2, 3\)"),  # turned
        (np.zeros((3, 2, 3), dtype=np.int64), r"is \(3, 2, 3\), but the image is \(2, 3\)"),
        (np.zeros((2, 3)), "whole numbers"),
        (np.zeros(3), "must hold ids"),
        (np.array([[{}]]), "not a readable array: .*Python objects"),
    ],
)
def test_bad_arrays(tmp_path, scores, message):
    np.save(tmp_path / "a.npy", scores)
    with pytest.raises(ValueError, match=rf"a\.npy: .*{message}"):
        read(tmp_path)


def test_bad_images(tmp_path):
    write_palette(tmp_path / "a.png", IDS)
    with pytest.raises(
        ValueError, match=r"a\.png: is \(2, 3\) \(H, W\), but the image is \(4, 3\)"
    ):
        read(tmp_path, size=(4, 3))
    Image.new("RGB", (3, 2), (1, 2, 3)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: must hold ids.*colours that are not VOC's"):
        read(tmp_path)
    Image.fromarray(np.full((2, 3), 9, dtype=np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: ids 9 mean no class"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png: not an image"):
        read(tmp_path)


def test_maps_are_found_by_path_then_by_stem(tmp_path):
    for name in ("x/a", "y/a", "b", ".hidden"):
        write_palette(tmp_path / f"{name}.png", IDS)
    maps = SemanticMaps(tmp_path, CLASSES)
    found = maps.match(["x/a.jpg", "y/a.JPEG", "z/b.png", "c.jpg"])
    assert found == ["x/a.png", "y/a.png", "b.png", ""]
    assert len(maps) == 3


def test_two_images_do_not_share_a_map(tmp_path):
    write_palette(tmp_path / "a.png", IDS)
    with pytest.raises(ValueError, match=r"images x/a\.jpg and y/a\.jpg would both have the map"):
        SemanticMaps(tmp_path, CLASSES).match(["x/a.jpg", "y/a.jpg"])


def test_two_maps_of_one_image(tmp_path):
    write_palette(tmp_path / "a.png", IDS)
    np.save(tmp_path / "a.npy", IDS)
    with pytest.raises(ValueError, match=r"a\.npy and .*a\.png: two semantic maps of one name"):
        SemanticMaps(tmp_path, CLASSES)


def test_folders_without_maps(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of semantic maps"):
        SemanticMaps(tmp_path / "nowhere", CLASSES)
    with pytest.raises(ValueError, match=r"there is no semantic map in it \(\.png, \.npy\)"):
        SemanticMaps(tmp_path, CLASSES)


def test_a_link_back_up_is_followed_once(tmp_path):
    write_palette(tmp_path / "maps" / "a.png", IDS)
    (tmp_path / "maps" / "loop").symlink_to(tmp_path / "maps", target_is_directory=True)
    assert len(SemanticMaps(tmp_path / "maps", CLASSES)) == 1
