"""Runs of pseudo-panoptic labels: what they write, and that its parts agree."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from tests.panoptic_data import (
    CLASSES,
    contents,
    load,
    make,
    segment_ids,
    write_map,
    write_panoptic_data,
)
from tests.touching_squares import SIZE, change_json, image_name, overlap, square_ids
from trace_mm.files.panoptic_file import read_panoptic_file
from trace_mm.jobs.edge_sources import PredictedEdges, StoredEdges
from trace_mm.panoptic import PanopticClasses
from trace_mm.runs.executors import LocalExecutor
from trace_mm.structures import EdgeDataSample

NAMES = [f"{image_name(number)}.png" for number in range(1, 5)]


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def assert_consistent(out, classes):
    """Panoptic map, instances and semantic map tell the same of every pixel."""
    panoptic = read_panoptic_file(out / "panoptic.json")
    instances = COCO(str(out / "instances.json"))
    category_ids = dict(zip(classes.category_ids, classes.ids, strict=True))
    isthing = {category["id"]: category["isthing"] for category in panoptic["categories"]}
    flags = [category["isthing"] for category in panoptic["categories"]]
    assert flags == sorted(flags, reverse=True)  # things first
    assert panoptic["images"] == instances.dataset["images"]
    for image, annotation in zip(panoptic["images"], panoptic["annotations"], strict=True):
        assert annotation["image_id"] == image["id"]
        stem = image["file_name"].rpartition(".")[0]
        assert annotation["file_name"] == f"{stem}.png"
        ids = segment_ids(out, stem)
        assert ids.shape == (image["height"], image["width"])
        semantic = np.asarray(Image.open(out / "semantic" / f"{stem}.png"))
        assert (semantic[ids == 0] == classes.void_id).all()
        segments = {segment["id"]: segment for segment in annotation["segments_info"]}
        assert set(segments) == set(np.unique(ids)) - {0}  # each pixel has one or is void
        masks = []
        for number, segment in segments.items():
            mask = ids == number
            assert (semantic[mask] == category_ids[segment["category_id"]]).all()
            rows, columns = np.nonzero(mask)
            left, top, width, height = segment["bbox"]
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())
            assert segment["area"] == len(rows) > 0
            if isthing[segment["category_id"]]:
                masks.append((mask, segment))
        found = instances.imgToAnns[image["id"]]
        assert len(found) == len(masks)
        for (mask, segment), instance in zip(masks, found, strict=True):
            np.testing.assert_array_equal(instances.annToMask(instance) > 0, mask)
            for key in ("category_id", "area", "bbox", "iscrowd"):
                assert instance[key] == segment[key]


def test_touching_squares_are_told_apart(data, out):
    summary = make(data, out)
    assert (summary.labelled, summary.segments, summary.failed) == (4, 12, {})
    assert summary.describe(out)[-1].startswith("12 segments of 4 images, 0 images failed, 0 have")
    assert_consistent(out, CLASSES)
    panoptic = load(out, "panoptic")
    assert panoptic["categories"] == CLASSES.categories()
    assert [image["file_name"] for image in panoptic["images"]] == NAMES
    assert [image["id"] for image in panoptic["images"]] == [1, 2, 3, 4]
    for number in range(1, 5):
        ids, truth = segment_ids(out, image_name(number)), square_ids(number)
        for value in (1, 2):
            assert max(overlap(ids == found, truth == value) for found in (1, 2)) > 0.9
    assert load(out, "instances")["categories"] == [{"id": 1, "name": "square"}]


def test_without_edges_touching_squares_are_one(data, out):
    assert make(data, out, edges=None).segments == 8
    assert load(out, "panoptic")["info"]["edges"] is None
    assert_consistent(out, CLASSES)


def test_the_formats_agree_on_random_maps(tmp_path):
    random = np.random.default_rng(0)
    data = tmp_path / "data"
    classes = PanopticClasses.create(["a", "b", "c"], ["background", "d"], category_ids=None)
    for number in range(1, 6):
        height, width = random.integers(8, 40, 2)
        photo = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        lines = random.integers(0, 256, (height, width), dtype=np.uint8)
        coarse = random.choice([0, 1, 2, 3, 4, 255], (height // 4 + 1, width // 4 + 1))
        ids = np.kron(coarse, np.ones((4, 4)))[:height, :width].astype(np.uint8)
        for folder, pixels in (("photos", photo), ("edges", lines), ("maps", ids)):
            (data / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(data / folder / f"{number}.png")
    for name, edges in (("edges", "stored"), ("alone", None)):
        assert make(data, tmp_path / name, edges, classes).labelled == 5
        assert_consistent(tmp_path / name, classes)


def test_ids_beyond_255_give_16_bits(data, out):
    classes = PanopticClasses.create(["square"], ["rest"], {"square": 700, "rest": 3})
    for number in range(1, 5):
        ids = np.where(square_ids(number) > 0, 700, 3).astype(np.uint16)
        ids[0] = 65535
        write_map(data / "maps", number, ids)
    assert make(data, out, classes=classes).failed == {}
    assert_consistent(out, classes)
    semantic = np.asarray(Image.open(out / "semantic" / NAMES[0]))
    assert sorted(np.unique(semantic)) == [3, 700, 65535]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPEG", ".JPG", ".webp"])
def test_other_suffixes_are_like_png(data, tmp_path, suffix):
    for name in NAMES:
        path = data / "photos" / name
        with Image.open(path) as image:
            image.save(path.with_suffix(suffix))
    first, second = data, tmp_path / "png"
    (second / "photos").mkdir(parents=True)
    for name in NAMES:
        (data / "photos" / name).rename(second / "photos" / name)
    for folder in ("maps", "edges"):
        (second / folder).symlink_to(data / folder, target_is_directory=True)
    make(first, tmp_path / "first")
    make(second, tmp_path / "second")
    assert_consistent(tmp_path / "first", CLASSES)
    for folder in ("panoptic", "semantic"):
        assert contents(tmp_path / "first" / folder) == contents(tmp_path / "second" / folder)
    names = [image["file_name"] for image in load(tmp_path / "first", "panoptic")["images"]]
    assert names == [name.replace(".png", suffix) for name in NAMES]


def test_subfolders(data, out):
    for folder in ("photos", "maps", "edges"):
        for number, name in enumerate(NAMES):
            target = data / folder / f"part{number % 2}" / name
            target.parent.mkdir(exist_ok=True)
            (data / folder / name).rename(target)
    assert make(data, out).labelled == 4
    assert_consistent(out, CLASSES)
    first = load(out, "panoptic")["annotations"][0]
    assert first["file_name"] == f"part0/{NAMES[0]}"


def test_workers_and_batches_do_not_change_a_byte(data, tmp_path):
    make(data, tmp_path / "one")
    make(data, tmp_path / "two", workers=2, batch_size=3)
    make(data, tmp_path / "three", executor=LocalExecutor(1))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    with pytest.raises(ValueError, match="give one of the two"):
        make(data, tmp_path / "four", workers=2, executor=LocalExecutor(1))


def test_a_function_that_finds_edges_stays_in_this_process(data, out):
    edges = PredictedEdges(lambda images: [], {})
    with pytest.raises(ValueError, match=r"cannot be pickled .*work without them"):
        make(data, out, edges, workers=2)


def test_edges_of_a_model(data, out):
    def no_edges(images):
        return [EdgeDataSample(pred_edges=torch.zeros(image.shape[:2])) for image in images]

    assert make(data, out, PredictedEdges(no_edges, {"model": "none"})).segments == 8
    assert load(out, "panoptic")["info"]["edges"] == {"model": "none"}


def test_images_without_a_map_are_counted(data, out, capsys):
    (data / "maps" / NAMES[1]).unlink()
    write_map(data / "maps", 9)
    summary = make(data, out)
    assert (summary.labelled, summary.failed) == (3, {})
    assert (summary.untagged, summary.unused_maps) == ([NAMES[1]], 1)
    assert "1 have no semantic map, 1 maps have no image" in summary.describe(out)[-1]
    assert [image["id"] for image in load(out, "panoptic")["images"]] == [1, 3, 4]
    assert not (out / "panoptic" / NAMES[1]).exists()
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_bytes().splitlines()]
    notes = [record.get("notes", []) for record in lines[1:]]
    assert notes == [[], ["there is no semantic map of it"], [], []]


def test_ids_of_a_coco_file(data, out, tmp_path):
    names = [{"id": 100 - number, "file_name": name} for number, name in enumerate(NAMES)]
    listed = tmp_path / "listed.json"
    listed.write_text(json.dumps({"images": names}))
    make(data, out, annotations=listed)
    images = load(out, "panoptic")["images"]
    assert [image["id"] for image in images] == [97, 98, 99, 100]
    assert [image["file_name"] for image in images] == NAMES[::-1]
    assert_consistent(out, CLASSES)
    change_json(listed, lambda content: content["images"].pop())
    with pytest.raises(ValueError, match=rf"listed\.json: lists no image {NAMES[3]}"):
        make(data, tmp_path / "other", annotations=listed)


def test_a_map_of_void_gives_no_segment(data, out):
    write_map(data / "maps", 2, np.full(SIZE, 255, dtype=np.uint8))
    assert make(data, out).labelled == 4
    assert load(out, "panoptic")["annotations"][1]["segments_info"] == []
    assert_consistent(out, CLASSES)


def test_a_photo_that_exif_turns(data, out, capsys):
    for number, upright in ((1, True), (2, False)):
        path = data / "photos" / NAMES[number - 1]
        with Image.open(path) as image:
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(path, exif=exif)  # stored as before; shown turned by a quarter
        if upright:
            for folder in ("maps", "edges"):
                turned = np.rot90(np.asarray(Image.open(data / folder / NAMES[0])), -1)
                Image.fromarray(np.ascontiguousarray(turned)).save(data / folder / NAMES[0])
    summary = make(data, out)
    assert (summary.labelled, summary.failed) == (4, {})
    assert list(summary.notes) == [NAMES[1]]
    assert "not as EXIF turns them" in capsys.readouterr().err
    sizes = [(image["height"], image["width"]) for image in load(out, "panoptic")["images"]]
    assert sizes == [SIZE[::-1], SIZE, SIZE, SIZE]
    assert_consistent(out, CLASSES)


def write_bad(data, kind):
    """Make the second image bad; returns what is said of it."""
    if kind == "unreadable":
        (data / "photos" / NAMES[1]).write_bytes(b"no image")
        return "not an image"
    if kind == "map":
        (data / "maps" / NAMES[1]).write_bytes(b"no image")
        return "not an image"
    if kind == "size":
        write_map(data / "maps", 2, np.zeros((9, 8), dtype=np.uint8))
        return r"is \(9, 8\) \(H, W\), but the image is"
    if kind == "class":
        write_map(data / "maps", 2, np.full(SIZE, 7, dtype=np.uint8))
        return "ids 7 mean no class"
    if kind == "edge size":
        Image.new("L", (3, 4)).save(data / "edges" / NAMES[1])
        return r"edge map is \(4, 3\)"
    (data / "edges" / NAMES[1]).unlink()
    return "no such edge map"


@pytest.mark.parametrize("kind", ["unreadable", "map", "size", "class", "edge size", "no edges"])
def test_a_bad_image_fails_alone(data, tmp_path, kind, capsys):
    make(data, tmp_path / "all")
    reason = write_bad(data, kind)
    summary = make(data, tmp_path / "others", batch_size=3)
    assert (summary.labelled, list(summary.failed)) == (3, [NAMES[1]])
    assert summary.failed[NAMES[1]] in capsys.readouterr().err
    assert re.search(reason, summary.failed[NAMES[1]])
    every, others = contents(tmp_path / "all"), contents(tmp_path / "others")
    for folder in ("panoptic", "semantic"):
        lost = f"{folder}/{NAMES[1]}"
        assert lost not in others
        shown = {name for name in every if name.startswith(f"{folder}/")}
        assert {name for name in others if name.startswith(f"{folder}/")} == shown - {lost}
        assert all(others[name] == every[name] for name in shown - {lost})
    assert [image["id"] for image in load(tmp_path / "others", "panoptic")["images"]] == [1, 3, 4]
    assert_consistent(tmp_path / "others", CLASSES)


def test_stored_edges_change_the_labels_they_are_of(data, out):
    make(data, out)
    before = contents(out)
    Image.new("L", SIZE[::-1]).save(data / "edges" / NAMES[2])
    make(data, out, edges=StoredEdges(data / "edges"))
    after = contents(out)
    changed = {name for name in before if before[name] != after[name]}
    assert f"panoptic/{NAMES[2]}" in changed
    assert not {f"panoptic/{NAMES[number]}" for number in (0, 1, 3)} & changed


@pytest.mark.parametrize("name", ["semantic", "panoptic", "pictures", "panoptic/x"])
def test_results_are_not_written_among_edges(data, out, name):
    folder = out / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    (data / "edges").rename(folder)
    with pytest.raises(ValueError, match="which is read"):
        make(data, out, edges=StoredEdges(folder))
    assert len(list(folder.iterdir())) == 4


def test_two_images_do_not_share_an_edge_map(data, out):
    for folder in ("photos", "maps"):
        for part, name in (("x", NAMES[0]), ("y", NAMES[1])):
            (data / folder / part).mkdir()
            (data / folder / name).rename(data / folder / part / NAMES[0])
    with pytest.raises(ValueError, match=rf"of x/{NAMES[0]} or of y/{NAMES[0]}"):
        make(data, out)
