"""A photo is turned as its EXIF data says, unless only its stored pixels fit the annotation."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from trace_mm.files import (
    Orientation,
    SizeEvidence,
    annotated_size,
    coco_evidence,
    load_image,
    read_photo,
)
from trace_mm.files.coco import encode_rle
from trace_mm.files.exif import turn, turn_back
from trace_mm.files.orientation import STORED

STORED_SIZE, UPRIGHT_SIZE = (20, 30), (30, 20)  # (H, W) of a photo with EXIF orientation 6
PIXELS = np.random.default_rng(0).integers(0, 256, (*STORED_SIZE, 3), dtype=np.uint8)


def write_photo(folder, exif=6, pixels=PIXELS):
    tags = Image.Exif()
    tags[0x0112] = exif
    path = folder / "photo.png"
    Image.fromarray(pixels).save(path, exif=tags)
    return path


def rle(size, damaged=False):
    encoded = encode_rle(np.ones(size, dtype=bool))
    return {"segmentation": {**encoded, **({"counts": "000"} if damaged else {})}}


def polygon(right, bottom):
    return {"segmentation": [[1, 1, right, 1, right, bottom, 1, bottom]]}


SAYS = [
    # what is annotated, what the file states, and which size is right
    ([], None, UPRIGHT_SIZE),
    ([rle(STORED_SIZE)], None, STORED_SIZE),
    ([rle(UPRIGHT_SIZE)], STORED_SIZE, UPRIGHT_SIZE),  # MaskCut swaps what it states
    ([rle(STORED_SIZE)], UPRIGHT_SIZE, STORED_SIZE),
    ([rle(STORED_SIZE), rle(STORED_SIZE), rle(UPRIGHT_SIZE)], None, STORED_SIZE),
    ([rle(STORED_SIZE, damaged=True), rle(UPRIGHT_SIZE)], None, UPRIGHT_SIZE),
    ([rle(UPRIGHT_SIZE, damaged=True), rle(UPRIGHT_SIZE, damaged=True), rle(STORED_SIZE)], None)
    + (STORED_SIZE,),
    ([rle((9, 9))], None, UPRIGHT_SIZE),
    ([rle((9, 9)), polygon(28, 10)], None, STORED_SIZE),
    ([polygon(28, 10)], UPRIGHT_SIZE, STORED_SIZE),
    ([polygon(10, 28)], STORED_SIZE, UPRIGHT_SIZE),
    ([polygon(10, 10)], STORED_SIZE, STORED_SIZE),
    ([polygon(10, 10)], UPRIGHT_SIZE, UPRIGHT_SIZE),
    ([polygon(10, 10)], (7, 7), UPRIGHT_SIZE),
    ([polygon(21.5, 10)], UPRIGHT_SIZE, UPRIGHT_SIZE),  # rounded over the rim
    ([polygon(28, 28)], STORED_SIZE, STORED_SIZE),  # fits in neither
    ([rle(UPRIGHT_SIZE), polygon(28, 10)], None, UPRIGHT_SIZE),
    ([{"segmentation": {"size": "x", "counts": "1"}}, polygon(28, 10)], None, STORED_SIZE),
    ([{"segmentation": [[1, "a", 2, 3, 4, 5], None]}, {}, None, 7], None, UPRIGHT_SIZE),
    ([{"segmentation": {"size": [10**9, 10**9], "counts": []}}], None, UPRIGHT_SIZE),
]


@pytest.mark.parametrize(("annotations", "stated", "size"), SAYS)
def test_what_tells_the_orientation(tmp_path, annotations, stated, size):
    photo = read_photo(write_photo(tmp_path), lambda: coco_evidence(annotations, stated))
    assert photo.size == size
    assert photo.orientation == Orientation(6, upright=size == UPRIGHT_SIZE)
    assert photo.notes == ([] if size == UPRIGHT_SIZE else [STORED])
    expected = PIXELS if size == STORED_SIZE else np.rot90(PIXELS, -1)
    np.testing.assert_array_equal(photo.pixels, expected / np.float32(255))


@pytest.mark.parametrize(("exif", "side"), [(1, 20), (2, 20), (3, 20), (4, 20), (6, 30), (8, 30)])
def test_mirrored_and_square_photos_are_turned_whatever_fits(tmp_path, exif, side):
    path = write_photo(tmp_path, exif, np.resize(PIXELS, (side, 30, 3)))
    photo = read_photo(path, lambda: SizeEvidence([(side, 30)], stated=(side, 30)))
    assert photo.orientation.upright
    np.testing.assert_array_equal(photo.pixels, load_image(path))


def test_without_annotation_it_is_what_load_image_reads(tmp_path):
    path = write_photo(tmp_path)
    np.testing.assert_array_equal(read_photo(path).pixels, load_image(path))


def test_maps_at_another_scale_tell_by_their_shape():
    evidence = SizeEvidence([(10, 15)], scaled=True)
    assert Orientation(6).other_fits(UPRIGHT_SIZE, lambda: evidence)
    assert not Orientation(6).other_fits(UPRIGHT_SIZE, lambda: SizeEvidence([(10, 15)]))


def test_evidence_is_not_looked_for_where_it_could_not_matter():
    def never():
        raise AssertionError("asked")

    assert not Orientation(1).other_fits(UPRIGHT_SIZE, never)
    assert not Orientation(3).other_fits(UPRIGHT_SIZE, never)
    assert not Orientation(6).other_fits((5, 5), never)


@pytest.mark.parametrize("exif", range(1, 9))
def test_turning_is_pillow_s_and_can_be_undone(exif):
    tags, file = Image.Exif(), io.BytesIO()
    tags[0x0112] = exif
    Image.fromarray(PIXELS).save(file, "PNG", exif=tags)
    np.testing.assert_array_equal(
        turn(PIXELS, exif), np.asarray(ImageOps.exif_transpose(Image.open(file)))
    )
    np.testing.assert_array_equal(turn_back(turn(PIXELS, exif), exif), PIXELS)


@given(st.integers(1, 8), st.booleans())
def test_a_map_of_either_orientation_fits(exif, upright):
    """Where shapes tell nothing, as in mirrored photos, maps are taken to be as the photo is."""
    ours = turn(PIXELS, exif) if upright else PIXELS
    other = PIXELS if upright else turn(PIXELS, exif)
    orientation = Orientation(exif, upright)
    size = ours.shape[0], ours.shape[1]
    np.testing.assert_array_equal(orientation.fit(ours, size), ours)
    expected = ours if exif >= 5 else other
    np.testing.assert_array_equal(orientation.fit(other, size), expected)
    strange = np.zeros((3, 4))
    assert orientation.fit(strange, size) is strange


@pytest.mark.parametrize(
    ("annotations", "size"),
    [
        ([], STORED_SIZE),
        ([rle(STORED_SIZE), polygon(28, 10)], STORED_SIZE),
        ([rle(UPRIGHT_SIZE)], UPRIGHT_SIZE),
        ([rle(UPRIGHT_SIZE, damaged=True), rle(STORED_SIZE)], STORED_SIZE),
        ([polygon(10, 10)], STORED_SIZE),
        ([polygon(28, 10)], STORED_SIZE),
        ([polygon(10, 28)], UPRIGHT_SIZE),
        ([polygon(28, 28)], STORED_SIZE),
        ([{"segmentation": [["x"], None, []]}, {}, 7], STORED_SIZE),
    ],
)
def test_the_size_that_a_file_states_without_the_photo(annotations, size):
    """Who reads the photo, and who scores masks without it, find the same size."""
    assert annotated_size(annotations, STORED_SIZE) == size
    evidence = coco_evidence(annotations, STORED_SIZE)
    assert Orientation(6).other_fits(UPRIGHT_SIZE, lambda: evidence) == (size == STORED_SIZE)
