"""COCO's masks: what is written is read, and nothing damaged reaches pycocotools."""

import json

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from trace_mm.files.coco import (
    decode_rle,
    decode_segmentation,
    encode_rle,
    instance_annotation,
    mask_box,
    run_lengths,
    segmentation_rle,
)

SIZE = (7, 9)
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30)))


def runs_of(mask):
    """Run lengths down the columns, counted pixel by pixel."""
    runs, value = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if mask[row, column] != value:
                runs.append(0)
                value = not value
            runs[-1] += 1
    return runs


@given(MASKS)
@settings(max_examples=200, deadline=None)
def test_rle_is_read_as_it_was_written(mask):
    encoded = json.loads(json.dumps(encode_rle(mask)))
    np.testing.assert_array_equal(decode_rle(encoded, mask.shape), mask)
    assert run_lengths(encoded["counts"].encode()).tolist() == runs_of(mask)
    uncompressed = {"size": list(mask.shape), "counts": runs_of(mask)}
    np.testing.assert_array_equal(decode_rle(uncompressed, mask.shape), mask)


def test_runs_of_many_digits():
    mask = np.zeros((1500, 1201), dtype=bool)
    mask[3:7, 5], mask[:, 700:702], mask[1, 1200] = True, True, True
    encoded = encode_rle(mask)
    assert run_lengths(encoded["counts"].encode()).tolist() == runs_of(mask)
    np.testing.assert_array_equal(decode_rle(encoded, mask.shape), mask)


@given(st.binary(max_size=30), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_mask_of_that_size_or_refused(counts, height, width):
    rle = {"size": [height, width], "counts": counts.decode("latin-1")}
    try:
        mask = decode_rle(rle, (height, width))
    except ValueError:
        return
    assert mask.shape == (height, width)
    assert sum(run_lengths(counts)) == height * width


@given(MASKS, st.integers(0, 200), st.integers(48, 111))
@settings(max_examples=300, deadline=None)
def test_a_changed_letter_never_overruns(mask, position, letter):
    rle = encode_rle(mask)
    text = bytearray(rle["counts"].encode())
    text[position % len(text)] = letter
    rle["counts"] = text.decode()
    try:
        assert decode_rle(rle, mask.shape).shape == mask.shape
    except ValueError as error:
        assert "RLE" in str(error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [9, 7]}, r"RLE is for \(9, 7\) .*image is \(7, 9\).*EXIF"),
        ({"size": [14, 18]}, r"RLE is for \(14, 18\) .*image is \(7, 9\)$"),
        ({"size": [7, True]}, r"size of the RLE must be"),
        ({"size": [7, 9, 1]}, r"size of the RLE must be"),
        ({"size": "79"}, r"size of the RLE must be"),
        ({"size": None}, r"size of the RLE must be"),
        ({"counts": None}, r"counts of the RLE must be text or a list"),
        ({"counts": ""}, r"add up to 0 pixels, the mask has 63"),
        ({"counts": []}, r"add up to 0 pixels, the mask has 63"),
        ({"counts": [60]}, r"add up to 60 pixels, the mask has 63"),
        ({"counts": [60, 4]}, r"add up to 64 pixels, the mask has 63"),
        ({"counts": [2**62, 2**62, 63]}, r"must be whole numbers"),
        ({"counts": [70, -7]}, r"must be whole numbers"),
        ({"counts": [62.5, 0.5]}, r"must be whole numbers"),
        ({"counts": [float("nan"), 63]}, r"must be whole numbers"),
        ({"counts": [10**400]}, r"must be whole numbers"),
        ({"counts": ["63"]}, r"must be whole numbers"),
        ({"counts": [[63]]}, r"must be whole numbers"),
        ({"counts": [[60], 3]}, r"must be whole numbers"),
        ({"counts": "é"}, r"characters that do not occur"),
        ({"counts": "p"}, r"characters that do not occur"),
        ({"counts": "oo"}, r"break off"),
        ({"counts": "ooooooo0"}, r"longer than"),
        ({"counts": "O1"}, r"runs must be of 0"),
    ],
)
def test_damaged_rle_says_what_is_wrong(change, message):
    rle = encode_rle(np.ones(SIZE, dtype=bool)) | change
    with pytest.raises(ValueError, match=message):
        decode_segmentation(rle, SIZE)


def test_whole_numbers_may_be_written_as_floats():
    assert decode_segmentation({"size": [7.0, 9.0], "counts": [60.0, 3.0]}, SIZE).sum() == 3


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ([], "neither polygons nor RLE"),
        (None, "neither polygons nor RLE"),
        ([0, 0, 4, 0, 4, 4], "must be a list of numbers"),
        ([[0, 0, 4, 0, 4, "4"]], "must be a list of numbers"),
        ([[0, 0, 4, 0, 4, True]], "must be a list of numbers"),
        ([{"size": [7, 9]}], "must be a list of numbers"),
        ([[0, 0, 4, 0, 4, 4, 1]], "no pairs"),
        ([[0, 0, 4, 0, 4, float("nan")]], "far out"),
        ([[0, 0, 4, 0, 4, float("inf")]], "far out"),
        ([[0, 0, 4, 0, 4, 1e9]], "far out"),
        ([[0, 0, 4, 0, 4, 10**400]], "far out"),
        ([[1, 1, 3, 3]], "only 4 numbers: .* a box is written as bbox"),
        ([[1, 1], []], "only 2 numbers"),
    ],
)
def test_bad_polygons_say_what_is_wrong(polygons, message):
    with pytest.raises(ValueError, match=message):
        decode_segmentation(polygons, SIZE)


@given(
    st.lists(
        st.lists(st.floats(-30, 60, width=32), min_size=6, max_size=12).filter(
            lambda numbers: len(numbers) % 2 == 0
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools
def test_polygons_are_drawn_as_pycocotools_does(polygons):
    expected = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(polygons, 20, 30)))
    np.testing.assert_array_equal(decode_segmentation(polygons, (20, 30)), expected)


def test_two_corners_beside_a_polygon_enclose_nothing():
    triangle = [1, 1, 6, 1, 6, 6]
    mask = decode_segmentation([[0, 0, 3, 3], triangle, [2, 2]], SIZE)
    np.testing.assert_array_equal(mask, decode_segmentation([triangle], SIZE))


@given(MASKS)
@settings(deadline=None)
def test_any_segmentation_as_rle(mask):
    compressed = encode_rle(mask)
    expected = {"size": list(mask.shape), "counts": compressed["counts"].encode()}
    uncompressed = {"size": [float(side) for side in mask.shape], "counts": runs_of(mask)}
    for segmentation in (compressed, expected, uncompressed):
        assert segmentation_rle(segmentation, mask.shape) == expected
    height, width = mask.shape
    frame = segmentation_rle([[0, 0, width, 0, width, height, 0, height]], mask.shape)
    assert decode_segmentation(frame, mask.shape).all()


def test_unreasonable_sizes_are_refused():
    for size in ((0, 5), (5, -1), (2**20, 2**20)):
        with pytest.raises(ValueError, match="pixels"):
            decode_segmentation({"size": list(size), "counts": [0]}, size)


def test_annotation_of_a_mask():
    mask = np.zeros(SIZE, dtype=bool)
    mask[2:5, 3:8] = True
    annotation = instance_annotation(mask, category_id=4)
    assert (annotation["bbox"], annotation["area"]) == ([3, 2, 5, 3], 15)
    assert (annotation["category_id"], annotation["iscrowd"]) == (4, 0)
    np.testing.assert_array_equal(decode_segmentation(annotation["segmentation"], SIZE), mask)
    assert mask_box(np.zeros(SIZE, dtype=bool)) == [0, 0, 0, 0]
