"""Where seeds come from."""

import json

import numpy as np
import pytest
from PIL import Image

from projects.sam_seeds.sources import BoxSeeds, ComponentSeeds, LabelSeeds, SegmentSeeds
from tests.touching_squares import SIZE, square_edges, square_ids
from trace_mm.jobs.edge_sources import NamedImage
from trace_mm.panoptic import PanopticClasses, PanopticLabeler
from trace_mm.segments import EdgeSegments

CLASSES = PanopticClasses.create(["square", "disc"], ["background"])
BACKGROUND = 2


@pytest.fixture
def squares():
    """An image of two squares that touch, its class map and its true edges."""
    classes = np.where(square_ids(1) > 0, 0, BACKGROUND).astype(np.int32)
    image = NamedImage("one.png", np.zeros((*SIZE, 3), np.float32))
    return image, classes, square_edges(1)


def are_the_squares(masks):
    """Whether there are two masks that are the squares but for their borders."""
    ids, found = square_ids(1), []
    for mask in masks:
        covered = [(mask & (ids == number)).sum() / (ids == number).sum() for number in (1, 2)]
        best = int(np.argmax(covered))
        found.append(best)
        if covered[best] < 0.7 or covered[1 - best] > 0.1:
            return False
    return sorted(found) == [0, 1]


@pytest.mark.parametrize(
    "source",
    [
        LabelSeeds(PanopticLabeler(preset="scenes"), CLASSES),
        ComponentSeeds(CLASSES, threshold=0.5, min_area=16),
    ],
)
def test_edges_cut_the_masks_of_things(squares, source):
    image, classes, edges = squares
    seeds = source(image, classes, edges)
    assert are_the_squares(seeds.masks) and seeds.classes.tolist() == [0, 0]
    whole = source(image, classes, None)
    np.testing.assert_array_equal(whole.masks, (square_ids(1) > 0)[None])
    assert source.settings()["seeds"] and source.on("cpu") is source


def test_segments_take_the_class_of_most_of_their_pixels(squares):
    image, classes, edges = squares
    source = SegmentSeeds(EdgeSegments(number=10), CLASSES)
    seeds = source(image, classes, edges)
    assert (seeds.classes == 0).all() and len(seeds) >= 2  # those of the background are left out
    assert are_the_squares(seeds.masks[:2])
    free = SegmentSeeds(EdgeSegments(number=10))(image, None, edges)
    assert len(free) >= len(seeds) and (free.scores > 0).all()


@pytest.fixture
def images(tmp_path):
    for name in ("sub/000000000007.png", "b.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(path)
    return tmp_path / "images"


def image(name):
    return NamedImage(name, np.zeros((10, 20, 3), np.float32))


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_boxes_of_a_list_of_results(images, tmp_path):
    """Ids are numbers in names, or names; category ids are those of the classes."""
    results = [
        {"image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 7, "category_id": 1, "bbox": [15, 5, 30, 30], "score": 0.9},
        {"image_id": 7, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.1},
        {"image_id": 7, "category_id": 3, "bbox": [0, 0, 20, 10], "score": 0.8},
        {"image_id": "b", "category_id": 1, "bbox": [0, 0, 0.2, 5]},
    ]
    file = write(tmp_path / "boxes.json", results)
    source = BoxSeeds(file, images, CLASSES, min_score=0.3)
    seeds = source(image("sub/000000000007.png"), None, None)
    assert seeds.boxes.tolist() == [[1, 2, 4, 6], [15, 5, 20, 10]]  # within the image
    assert seeds.classes.tolist() == [1, 0] and seeds.scores.tolist() == [0.5, 0.9]
    assert len(source(image("b.png"), None, None)) == 0  # narrower than a pixel
    stuff = BoxSeeds(file, images, CLASSES, min_score=0.3, stuff=True)
    assert stuff(image("sub/000000000007.png"), None, None).classes.tolist() == [1, 0, 2]
    assert stuff.settings() != source.settings()


def test_boxes_of_a_coco_file_go_by_names(images, tmp_path):
    content = {
        "images": [{"id": 3, "file_name": "b.png"}, {"id": 4, "file_name": "elsewhere.png"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 17, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 4, "category_id": 17, "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": 17, "name": "disc"}],
    }
    file = write(tmp_path / "boxes.json", content)
    seeds = BoxSeeds(file, images, CLASSES)(image("b.png"), None, None)
    assert seeds.classes.tolist() == [1] and seeds.scores.tolist() == [1]
    no_classes = BoxSeeds(file, images)(image("b.png"), None, None)
    assert no_classes.classes.tolist() == [0]
    results = write(tmp_path / "results.json", content["annotations"])
    named = BoxSeeds(results, images, None, annotations=file)(image("b.png"), None, None)
    assert named.boxes.tolist() == [[1, 2, 4, 6]]


def test_boxes_that_cannot_be_used(images, tmp_path):
    entry = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]}
    for change, cause in (
        ({"category_id": 9}, "category_id 9 is none of the classes"),
        ({"bbox": None}, "there is no bbox"),
        ({"image_id": 99}, "none of its images is in"),
    ):
        file = write(tmp_path / "boxes.json", [{**entry, **change}])
        with pytest.raises(ValueError, match=cause) as raised:
            BoxSeeds(file, images, CLASSES)
        assert str(file) in str(raised.value)
