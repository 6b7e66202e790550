"""What sliders show equals what a fresh computation finds."""

import json
import zipfile

import cv2
import numpy as np
import pytest

from trace_mm.app.found import SHOWN, Found, PackedMasks, View
from trace_mm.files.coco import decode_segmentation
from trace_mm.refinement import InstanceMasks
from trace_mm.segments import EdgeSegments
from trace_mm.visualization.segments import draw_segments


@pytest.fixture(scope="module")
def edges():
    """Two rings, of different strength, and a line across."""
    lines = np.zeros((48, 64), np.float32)
    cv2.rectangle(lines, (6, 6), (28, 40), 0.9, 1)
    cv2.circle(lines, (46, 24), 12, 0.5, 1)
    lines[44, :] = 0.2
    return lines


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def found(edges, photo):
    return Found("dog.jpg", photo, edges, EdgeSegments(number=100).find)


@pytest.mark.parametrize("score", [0.0, 0.2, 0.35, 1.0])
@pytest.mark.parametrize("number", [0, 1, 3, 100])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_a_view_is_what_another_search_would_find(found, edges, photo, score, number, threshold):
    view = View(score, number, threshold)
    strong = np.where(edges >= threshold, edges, np.float32(0))
    fresh = EdgeSegments(number=max(number, 1), min_score=score)(strong)
    expected = fresh.select(range(min(number, len(fresh))))
    masks = found.masks(view)
    np.testing.assert_array_equal(masks.masks, expected.masks)
    np.testing.assert_array_equal(masks.scores, expected.scores)
    picture = draw_segments(photo.astype(np.float32) / np.float32(255), expected.masks)
    np.testing.assert_array_equal(found.mask_picture(view), picture)


def test_what_only_ignored_edges_enclose_is_no_mask(found):
    """The circle has edges of 0.5, the rectangle of 0.9."""
    inside = {"circle": (24, 46), "rectangle": (20, 14)}
    for threshold, expected in ((0.0, {"circle", "rectangle"}), (0.6, {"rectangle"}), (1.0, set())):
        masks = found.masks(View(number=100, threshold=threshold)).masks
        small = masks[masks.mean((1, 2)) < 0.4]
        alone = {name for name, place in inside.items() if small[:, *place].any()}
        assert alone == expected


def test_a_threshold_that_was_seen_needs_no_search(edges, photo):
    asked = []

    def search(strong):
        asked.append(strong.max())
        return EdgeSegments().find(strong)

    found = Found("dog.jpg", photo, edges, search)
    for threshold in (0.0, 0.95, 0.0, 0.95):
        found.mask_picture(View(threshold=threshold))
    assert asked == [np.float32(0.9), 0]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_weaker_edges_are_hidden(found, edges, threshold):
    picture = found.edge_picture(View(threshold=threshold))
    for row, column in np.ndindex(edges.shape):
        value = edges[row, column]
        expected = round(float(value) * 255) if value >= np.float32(threshold) else 0
        assert abs(int(picture[row, column]) - expected) <= 1
        assert (picture[row, column] == 0) == (expected == 0)


def test_masks_of_another_program_may_have_no_scores(photo, edges):
    masks = np.zeros((1, 48, 64), bool)
    masks[0, :5, :7] = True
    packed = PackedMasks(InstanceMasks(masks, np.ones(1, np.int64)), masks.shape[1:])
    found = Found("a.png", photo, edges, lambda edges: packed)
    assert found.counts(View(score=1.0)) == (1, 1)


def test_a_large_photo_is_shown_small_and_exported_at_its_size(tmp_path):
    photo = np.zeros((10, 2 * SHOWN + 3, 3), np.uint8)
    masks = np.zeros((1, *photo.shape[:2]), bool)
    masks[0, 2:8, 100:903] = True
    instances = InstanceMasks(masks, np.ones(1, np.int64), np.array([0.5]))
    packed = PackedMasks(instances, (5, SHOWN))
    edges = np.zeros(photo.shape[:2], np.float32)
    found = Found("wide.png", photo, edges, lambda edges: packed)
    assert found.mask_picture(View()).shape == (5, SHOWN, 3)
    assert found.edge_picture(View()).shape == (5, SHOWN)
    np.testing.assert_array_equal(found.masks(View()).masks, masks)


def test_coco_holds_the_masks_that_are_shown(found, tmp_path):
    view = View(number=2)
    path = found.export(view, "coco", tmp_path)
    assert path.name == "dog-coco.json"
    content = json.loads(path.read_text())
    assert [image["file_name"] for image in content["images"]] == ["dog.jpg"]
    assert [category["name"] for category in content["categories"]] == ["object"]
    masks = [decode_segmentation(one["segmentation"], (48, 64)) for one in content["annotations"]]
    np.testing.assert_array_equal(masks, found.masks(view).masks)


def test_labelme_names_the_photo(found, tmp_path):
    path = found.export(View(number=1), "labelme", tmp_path)
    content = json.loads(path.read_text())
    assert path.name == "dog-labelme.json"
    assert (content["imagePath"], content["imageHeight"]) == ("dog.jpg", 48)
    assert {shape["label"] for shape in content["shapes"]} == {"object"}


def test_several_files_are_an_archive(found, tmp_path):
    path = found.export(View(number=2), "png", tmp_path)
    assert path.name == "dog-png.zip"
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["instances.jsonl", "masks/dog.png"]
        data = np.frombuffer(archive.read("masks/dog.png"), np.uint8)
    ids = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(ids > 0, found.masks(View(number=2)).masks.any(0))
