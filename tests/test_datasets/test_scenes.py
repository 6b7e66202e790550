import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from trace_mm.datasets import SceneEdgeDataset
from trace_mm.datasets.scenes import SHAPE_CLASSES, export_scenes, render_scene
from trace_mm.datasets.scenes.scene import render_grid
from trace_mm.datasets.scenes.shapes import SHAPES
from trace_mm.panoptic import PanopticClasses
from trace_mm.registry import DATASETS


def adjacent_pairs(ids):
    """Pairs of ids that share a border, by a loop over pixels."""
    pairs = set()
    for row in range(ids.shape[0] - 1):
        for column in range(ids.shape[1] - 1):
            for other in (ids[row + 1, column], ids[row, column + 1]):
                if other != ids[row, column]:
                    pairs.add(frozenset((int(other), int(ids[row, column]))))
    return pairs


def test_scenes_are_deterministic_and_differ():
    first, again, other = render_scene(3, 5), render_scene(3, 5), render_scene(3, 6)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.instance_ids, again.instance_ids)
    assert not np.array_equal(first.image, other.image)
    assert not np.array_equal(first.image, render_scene(4, 5).image)


@pytest.mark.parametrize("size", [(128, 128), (33, 140), (200, 60), (16, 16)])
def test_any_size(size):
    scene = render_scene(0, 1, size)
    assert scene.image.shape == (*size, 3) and scene.image.dtype == np.uint8
    assert scene.instance_ids.shape == size and scene.instance_ids.dtype == np.int32


def test_ids_count_one_to_six_instances_without_gaps():
    counts = set()
    for index in range(60):
        scene = render_scene(1, index)
        present = np.setdiff1d(np.unique(scene.instance_ids), [0])
        assert np.array_equal(present, np.arange(1, len(scene.classes) + 1))
        assert all(1 <= number <= len(SHAPE_CLASSES) for number in scene.classes)
        counts.add(len(scene.classes))
    assert counts == {1, 2, 3, 4, 5, 6}


def test_neighbours_of_one_class_touch_in_most_scenes():
    touching = 0
    for index in range(40):
        scene = render_scene(2, index)
        classes = np.concatenate([[0], scene.classes])
        pairs = adjacent_pairs(scene.instance_ids)
        touching += any(len(set(classes[list(pair)])) == 1 for pair in pairs if 0 not in pair)
    assert touching > 20


@pytest.mark.parametrize("name", SHAPE_CLASSES)
def test_outlines_are_about_one_unit_large(name):
    for seed in range(20):
        outline = SHAPES[name](np.random.default_rng(seed))
        assert 0.5 < np.abs(outline).max() <= 1.4
        following = np.roll(outline, -1, axis=0)
        area = (outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0]).sum() / 2
        assert abs(area) > 0.4  # no self-intersection cancels it


def test_inner_contrast_is_often_higher_than_that_across_borders():
    """Mean gradient inside instances and background against that on instance borders."""
    stronger_inside = 0
    for index in range(30):
        scene = render_scene(5, index)
        grey = scene.image.astype(np.float64).mean(2)
        gradient = np.hypot(*np.gradient(grey))
        ids = scene.instance_ids
        border = (np.abs(np.gradient(ids.astype(float))[0]) > 0) | (
            np.abs(np.gradient(ids.astype(float))[1]) > 0
        )
        stronger_inside += np.quantile(gradient[~border], 0.9) > np.median(gradient[border])
    assert stronger_inside > 15


def test_a_grid_has_the_scenes_side_by_side():
    grid = render_grid(3, 1, (24, 32), 2)
    scenes = [render_scene(3, index, (24, 32)) for index in (4, 5, 6, 7)]
    assert grid.image.shape == (48, 64, 3) and grid.instance_ids.dtype == np.int32
    before = 0
    for number, scene in enumerate(scenes):
        top, left = 24 * (number // 2), 32 * (number % 2)
        part = slice(top, top + 24), slice(left, left + 32)
        assert np.array_equal(grid.image[part], scene.image)
        inside = scene.instance_ids > 0
        assert np.array_equal(grid.instance_ids[part] > 0, inside)
        found = grid.instance_ids[part][inside]
        own = scene.instance_ids[inside]
        assert np.array_equal(found - before, own)
        assert np.array_equal(grid.classes[found - 1], scene.classes[own - 1])
        before += len(scene.classes)
    assert len(grid.classes) == before
    with pytest.raises(ValueError, match="side must be at least 1"):
        render_grid(3, 1, (24, 32), 0)


def test_images_of_a_grid_are_exported(tmp_path):
    export_scenes(tmp_path, 1, 0, 1, (24, 32), 2)
    truth = COCO(tmp_path / "instances.json")
    assert (truth.imgs[0]["height"], truth.imgs[0]["width"]) == (48, 64)
    ids = render_grid(1, 0, (24, 32), 2).instance_ids
    for number, annotation in enumerate(truth.loadAnns(truth.getAnnIds()), start=1):
        assert np.array_equal(truth.annToMask(annotation) > 0, ids == number)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 16 pixels a side, got 8x64"):
        render_scene(0, 0, (8, 64))
    with pytest.raises(ValueError, match="must not be negative"):
        render_scene(-1, 0)


def test_export_agrees_with_the_scenes(tmp_path):
    export_scenes(tmp_path, seed=1, start=10, length=3, size=(48, 64))
    instances = COCO(tmp_path / "instances.json")
    panoptic = json.loads((tmp_path / "panoptic.json").read_text())
    things = [category["isthing"] for category in panoptic["categories"]]
    assert things == [1] * len(SHAPE_CLASSES) + [0]  # things come first
    for index, record in zip(range(10, 13), panoptic["annotations"], strict=True):
        scene = render_scene(1, index, (48, 64))
        name = f"{index:06d}.png"
        with Image.open(tmp_path / "images" / name) as image:
            assert np.array_equal(np.asarray(image), scene.image)
        annotations = instances.imgToAnns[index]
        for number, annotation in enumerate(annotations, start=1):
            mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
            assert np.array_equal(mask, scene.instance_ids == number)
            assert annotation["category_id"] == scene.classes[number - 1]
            left, top, width, height = annotation["bbox"]
            assert mask[top : top + height, left : left + width].sum() == annotation["area"]
        with Image.open(tmp_path / "panoptic" / name) as image:
            red, green, blue = np.moveaxis(np.asarray(image).astype(int), 2, 0)
        ids = red + 256 * green + 65536 * blue
        assert set(np.unique(ids)) == {segment["id"] for segment in record["segments_info"]}
        for segment in record["segments_info"]:
            assert segment["area"] == (ids == segment["id"]).sum() and segment["id"] > 0
        with Image.open(tmp_path / "semantic" / name) as image:
            assert image.mode == "P" and image.getpalette()[3:9] == [128, 0, 0, 0, 128, 0]
            classes = np.concatenate([[0], scene.classes])[scene.instance_ids]
            assert np.array_equal(np.asarray(image), classes)


def test_the_class_file_of_an_export_fits_its_maps(tmp_path):
    export_scenes(tmp_path, seed=1, start=10, length=1, size=(48, 64))
    classes = PanopticClasses.from_file(tmp_path / "classes.json")
    panoptic = json.loads((tmp_path / "panoptic.json").read_text())
    assert classes.categories() == panoptic["categories"]
    with Image.open(tmp_path / "semantic" / "000010.png") as image:
        numbers = classes.classes_of(np.asarray(image))
    scene = render_scene(1, 10, (48, 64))
    expected = np.append(len(SHAPE_CLASSES), scene.classes - 1)[scene.instance_ids]
    assert np.array_equal(numbers, expected)


def test_an_export_is_never_overwritten(tmp_path):
    export_scenes(tmp_path, seed=1, start=0, length=1, size=(16, 16))
    with pytest.raises(FileExistsError, match="already holds exported scenes"):
        export_scenes(tmp_path, seed=1, start=0, length=1, size=(16, 16))


def test_the_dataset_gives_images_with_borders():
    dataset = DATASETS.build({"type": "SceneEdgeDataset", "seed": 1, "start": 4, "length": 2})
    assert isinstance(dataset, SceneEdgeDataset) and len(dataset) == 2
    item, scene = dataset[1], render_scene(1, 5)
    assert item["inputs"].shape == (3, 128, 128)
    assert np.array_equal(item["inputs"].mul(255).round().numpy().transpose(1, 2, 0), scene.image)
    assert item["data_samples"].gt_edges.shape == (1, 128, 128)
    assert item["data_samples"].gt_edges.any()
    with pytest.raises(IndexError):
        dataset[2]
