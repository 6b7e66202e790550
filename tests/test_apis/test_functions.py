"""from trace_mm import edges, segment, refine."""

import inspect
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

import trace_mm
from trace_mm import edges, refine, segment
from trace_mm.apis import PhotoSegments, functions
from trace_mm.datasets.scenes import render_scene


@pytest.fixture(scope="module")
def photo():
    """A small picture of a few things, uint8 (96, 96, 3)."""
    return render_scene(0, 1, (96, 96)).image


@pytest.fixture(scope="module")
def found(photo):
    return segment(photo, top=12)


def test_edges_of_a_photo_and_of_a_list(photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    one = edges(path)
    assert one.shape == (96, 96) and one.dtype == np.float32
    assert 0 <= one.min() < one.max() <= 1
    several = edges([path, Image.fromarray(photo), photo[:48]])
    assert [each.shape for each in several] == [(96, 96), (96, 96), (48, 96)]
    np.testing.assert_array_equal(several[0], one)
    np.testing.assert_array_equal(several[1], one)


def test_a_model_is_loaded_once(photo):
    functions._inferencer.cache_clear()
    for _ in range(2):
        edges(photo[:32])
    segment(photo[:32], top=3)
    segment(photo[:32], top=4)
    assert functions._inferencer.cache_info().misses == 1


def test_segments_of_a_photo(found, photo):
    assert isinstance(found, PhotoSegments)
    assert 0 < len(found) <= 12
    assert found.masks.shape == (len(found), 96, 96) and found.masks.dtype == bool
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_array_equal(found.photo, photo)
    np.testing.assert_array_equal(found.edges, edges(photo))
    for mask, (left, top, right, bottom) in zip(found.masks, found.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        assert (left, top) == (columns.min(), rows.min())
        assert (right, bottom) == (columns.max() + 1, rows.max() + 1)


def test_boxes_where_there_is_no_mask(photo):
    nothing = PhotoSegments(photo, np.zeros((0, 96, 96), dtype=bool), np.zeros(0))
    assert nothing.boxes.shape == (0, 4)
    empty = PhotoSegments(photo, np.zeros((1, 96, 96), dtype=bool), np.ones(1))
    assert not empty.boxes.any()


def test_segments_of_a_list(photo, found):
    several = segment([photo, photo], top=12)
    for one in several:
        np.testing.assert_array_equal(one.masks, found.masks)


def test_segments_are_shown_in_a_notebook(found):
    assert found.plot().size == (96, 96)
    assert found._repr_png_().startswith(b"\x89PNG")
    assert "masks" in repr(found) and len(repr(found)) < 500


def test_segments_as_coco(found):
    content = found.to_coco(image_id=7)
    assert content["images"] == [{"id": 7, "file_name": "image", "height": 96, "width": 96}]
    assert len(content["annotations"]) == len(found)
    for annotation, mask, score in zip(
        content["annotations"], found.masks, found.scores, strict=True
    ):
        assert annotation["image_id"] == 7 and annotation["score"] == score
        np.testing.assert_array_equal(coco_masks.decode(annotation["segmentation"]), mask)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".json", ".npz"])
def test_segments_are_saved(found, tmp_path, suffix):
    path = found.save(tmp_path / f"masks{suffix}")
    if suffix == ".json":
        assert json.loads(path.read_text()) == found.to_coco()
    elif suffix == ".npz":
        with np.load(path) as arrays:
            assert set(arrays) == {"masks", "scores", "boxes", "edges"}
            np.testing.assert_array_equal(arrays["masks"], found.masks)
    else:
        assert Image.open(path).size == (96, 96)


def test_an_unknown_suffix_is_refused(found, tmp_path):
    with pytest.raises(ValueError, match=r"masks.gif: the suffix must be one of \.png"):
        found.save(tmp_path / "masks.gif")
    assert not list(tmp_path.iterdir())


def test_segments_for_supervision(found):
    pytest.importorskip("supervision")
    detections = found.to_supervision()
    np.testing.assert_array_equal(detections.mask, found.masks)
    np.testing.assert_array_equal(detections.xyxy, found.boxes)


def test_without_supervision_an_error_says_what_to_install(found, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(ImportError, match="pip install supervision"):
        found.to_supervision()


def test_masks_of_any_method_are_refined(photo):
    """Two squares that touch, in one mask, and edges that run between them."""
    mask = np.zeros((1, 96, 96), dtype=np.uint8)
    mask[0, 20:60, 10:80] = 1
    borders = np.zeros((96, 96), dtype=np.float32)
    borders[20:60, 44:46] = 1
    borders[[19, 60], 9:81] = borders[19:61, 9] = borders[19:61, 80] = 1
    done = refine(photo, mask, edges=borders, preset="scenes")
    assert len(done) == 2
    sides = {bool(one[40, 20]) for one in done.masks}
    assert sides == {True, False}


def test_edges_are_found_where_none_are_given(photo):
    done = refine(photo, np.ones((1, 96, 96), dtype=bool), np.array([0.5]))
    assert done.masks.shape[1:] == (96, 96)
    np.testing.assert_array_equal(done.edges, edges(photo))


@pytest.mark.parametrize("shape", [(96, 96), (1, 96, 95)])
def test_masks_that_do_not_fit_the_photo(photo, shape):
    with pytest.raises(ValueError, match=r"masks must be \(N, 96, 96\) of 0 and 1"):
        refine(photo, np.zeros(shape))


def test_a_missing_photo_is_known_before_the_first_is_read(photo, monkeypatch):
    monkeypatch.setattr(functions, "_named", lambda one: pytest.fail("was read"))
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg: no such file"):
        segment([photo, "missing.jpg"])


@pytest.mark.parametrize("function", [edges, segment, refine])
def test_help_fits_a_screen_and_has_an_example(function):
    text = inspect.getdoc(function)
    assert len(text.splitlines()) <= 30
    example = text.partition("Examples:")[2]
    assert f">>> from trace_mm import {function.__name__}" in example


def test_the_module_that_was_called_refine_says_where_it_is():
    with pytest.raises(ImportError, match=r"trace_mm\.refine is now trace_mm\.refinement"):
        from trace_mm.refine import InstanceMasks  # noqa: F401
    assert trace_mm.refine is refine  # and the function is there as before
