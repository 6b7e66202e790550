"""Runs of refinement: what they write, how they go on, and what they make of bad input."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from tests import peer_masks
from tests.touching_squares import (
    SIZE,
    change_json,
    image_name,
    overlap,
    source_masks,
    square_edges,
    square_ids,
    write_data,
    write_edges,
    write_image,
)
from trace_mm.apis.refine_masks import refine_masks
from trace_mm.files import TEMPORARY_SUFFIX, locked, temporary_path
from trace_mm.jobs.edge_sources import PredictedEdges, StoredEdges
from trace_mm.refinement import BoundaryGuidedPropagation
from trace_mm.structures import EdgeDataSample

NAMES = [f"{image_name(number)}.png" for number in range(1, 5)]


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


def true_edges(images):
    """Edges by the images' colours, as a model would predict them."""
    samples = []
    for image in images:
        ids = (image[:, :, 0] > 0.5).astype(int) + 2 * (image[:, :, 1] > 0.5)
        edges = np.zeros(SIZE, dtype=np.float32)
        edges[:-1][ids[:-1] != ids[1:]] = 1
        edges[:, :-1][ids[:, :-1] != ids[:, 1:]] = 1
        samples.append(EdgeDataSample(pred_edges=torch.from_numpy(edges)))
    return samples


class Counted:
    """Stored edges that remember of which images, and are interrupted before one of them."""

    def __init__(self, folder, stop_at=None, error=KeyboardInterrupt):
        self.edges, self.stop_at, self.error = StoredEdges(folder), stop_at, error
        self.names = []

    def __call__(self, images):
        if len(self.names) == self.stop_at:
            raise self.error
        self.names += [image.name for image in images]
        return self.edges(images)

    def expect(self, names, others):
        self.edges.expect(names, others)

    def folders(self):
        return self.edges.folders()

    def settings(self):
        return self.edges.settings()

    def state(self, name):
        return self.edges.state(name)


def refine(data, out, edges=None, steps=64, masks="masks.json", **options):
    refiner = BoundaryGuidedPropagation(steps=steps)
    edges = StoredEdges(data / "edges") if edges is None else edges
    options = {"show_progress": False, **options}
    return refine_masks(data / masks, data / "photos", out, edges, refiner, **options)


def manifest(out):
    lines = (out.parent / f"{out.name}.parts" / "manifest.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def test_a_mask_of_two_squares_becomes_two(data, tmp_path):
    out = tmp_path / "results" / "refined.json"
    summary = refine(data, out)
    assert (summary.images, summary.masks, summary.failed, summary.notes) == (4, 8, {}, {})
    assert summary.describe(out)[0].startswith("8 masks of 4 images, 0 images failed, 0 bad")
    coco = COCO(str(out))
    assert sorted(coco.getAnnIds()) == list(range(1, 9))
    assert [image["file_name"] for image in coco.dataset["images"]] == NAMES
    assert coco.dataset["categories"] == [{"id": 1, "name": "fg"}]
    for number, image in coco.imgs.items():
        assert (image["height"], image["width"]) == SIZE
        annotations = coco.imgToAnns[number]
        assert [annotation["source_masks"] for annotation in annotations] == [[0], [0]]
        found = [coco.annToMask(annotation) > 0 for annotation in annotations]
        ids = square_ids(number)
        for value in (1, 2):
            assert max(overlap(mask, ids == value) for mask in found) > 0.9
        for mask, annotation in zip(found, annotations, strict=True):
            assert annotation["area"] == mask.sum()
            assert annotation["bbox"] == peer_masks.box(mask)
            assert 0 < annotation["score"] <= 1


def test_edges_of_a_model(data, tmp_path):
    edges = PredictedEdges(true_edges, {"model": "colours"})
    refine(data, tmp_path / "model.json", edges, batch_size=3)
    refine(data, tmp_path / "stored.json")
    model, stored = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("model", "stored")
    )
    assert model["annotations"] == stored["annotations"]
    assert model["info"]["edges"] == {"model": "colours"}
    assert model["info"]["refiner"]["steps"] == 64


def test_workers_and_batches_do_not_change_the_file(data, tmp_path):
    refine(data, tmp_path / "one.json")
    refine(data, tmp_path / "two.json", workers=2, batch_size=3)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_stopped_run_goes_on(data, tmp_path, error):
    refine(data, tmp_path / "undisturbed.json")
    out = tmp_path / "refined.json"
    first = Counted(data / "edges", stop_at=2, error=error)
    with pytest.raises(error):
        refine(data, out, first)
    assert not out.exists()
    second = Counted(data / "edges")
    summary = refine(data, out, second)
    assert (first.names, second.names) == (NAMES[:2], NAMES[2:])
    assert (summary.images, summary.masks) == (4, 8)
    assert out.read_bytes() == (tmp_path / "undisturbed.json").read_bytes()
    third = Counted(data / "edges")
    assert refine(data, out, third).masks == 8
    assert third.names == []


def test_what_a_killed_run_has_left_half_written_is_removed(data, tmp_path):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    other = temporary_path(tmp_path / "other.json")
    refine(data, out, show_dir=pictures)
    left = [temporary_path(path) for path in (out, *pictures.iterdir())]
    for path in (other, *left, temporary_path(out.with_name("out.json.parts") / "manifest.jsonl")):
        path.write_bytes(b"half")
    refine(data, out, show_dir=pictures)
    assert list(tmp_path.rglob(f".*{TEMPORARY_SUFFIX}")) == [other]  # which somebody else writes


def test_a_torn_line_counts_as_not_written(data, tmp_path):
    out = tmp_path / "refined.json"
    refine(data, out)
    before = out.read_bytes()
    path = tmp_path / "refined.json.parts" / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    edges = Counted(data / "edges")
    refine(data, out, edges)
    assert edges.names == NAMES[3:]
    assert out.read_bytes() == before


def test_a_changed_image_is_done_again(data, tmp_path):
    out = tmp_path / "refined.json"
    refine(data, out)
    Image.new("RGB", (SIZE[1], SIZE[0])).save(data / "photos" / NAMES[1])
    edges = Counted(data / "edges")
    refine(data, out, edges)
    assert edges.names == [NAMES[1]]


def test_other_settings_are_refused(data, tmp_path):
    out = tmp_path / "refined.json"
    refine(data, out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"other settings: refiner .*'steps': 64.*--overwrite"):
        refine(data, out, steps=65)
    with pytest.raises(ValueError, match=r"other settings: edges .*colours"):
        refine(data, out, PredictedEdges(true_edges, {"model": "colours"}))
    with pytest.raises(ValueError, match="other settings: annotations None"):
        refine(data, out, annotations=data / "instances.json")
    change_json(data / "masks.json", lambda content: content["annotations"].pop())
    with pytest.raises(ValueError, match="other settings: masks"):
        refine(data, out)
    assert out.read_bytes() == before
    edges = Counted(data / "edges")
    assert refine(data, out, edges, steps=65, overwrite=True).masks == 6
    assert edges.names == NAMES[:3]


def test_two_runs_do_not_write_one_file(data, tmp_path):
    out = tmp_path / "refined.json"
    refine(data, out)
    with locked(tmp_path / "refined.json.parts"), pytest.raises(ValueError, match=r"\.parts"):
        refine(data, out)


def add_bad_mask(data):
    """A second mask of the first image, whose RLE overruns it."""

    def edit(content):
        bad = {**content["annotations"][0], "id": 99}
        bad["segmentation"] = {"size": list(SIZE), "counts": [0, SIZE[0] * SIZE[1] + 1]}
        content["annotations"].insert(0, bad)

    change_json(data / "masks.json", edit)


def test_a_bad_mask_is_an_error(data, tmp_path):
    add_bad_mask(data)
    message = r"masks\.json: .*annotations\[0\].*add up to 1281 pixels"
    with pytest.raises(ValueError, match=message):
        refine(data, tmp_path / "refined.json")


def test_a_bad_mask_is_left_out_if_allowed(data, tmp_path):
    add_bad_mask(data)
    out = tmp_path / "refined.json"
    summary = refine(data, out, skip_bad=True)
    assert (summary.images, summary.masks, summary.failed) == (4, 8, {})
    assert list(summary.notes) == [NAMES[0]]
    assert "add up to 1281" in summary.notes[NAMES[0]][0]
    assert "1 bad masks" in summary.describe(out)[0]
    notes = {record["key"]: record.get("notes", []) for record in manifest(out)[1:]}
    assert notes == {name: summary.notes.get(name, []) for name in NAMES}


def test_a_record_without_an_image(data, tmp_path):
    (data / "photos" / NAMES[2]).unlink()
    out = tmp_path / "refined.json"
    message = r"masks\.json: .*000000000003.*no such image.*--skip-bad"
    with pytest.raises(ValueError, match=message):
        refine(data, out)
    for _ in range(2):
        summary = refine(data, out, skip_bad=True)
        assert (summary.images, summary.failed) == (3, {})
        assert "000000000003" in summary.notes["record 2"][0]
        notes = [record["notes"] for record in manifest(out)[1:] if "notes" in record]
        assert notes == [summary.notes["record 2"]]
    assert [image["id"] for image in json.loads(out.read_text())["images"]] == [1, 2, 4]
    write_image(data / "photos", 3)
    summary = refine(data, out, skip_bad=True)
    assert (summary.images, summary.notes) == (4, {})


def test_an_image_that_cannot_be_read_fails_alone(data, tmp_path, capsys):
    (data / "photos" / NAMES[1]).write_bytes(b"no image")
    out = tmp_path / "refined.json"
    summary = refine(data, out, batch_size=2)
    assert summary.images == 3
    assert list(summary.failed) == [NAMES[1]]
    assert "not an image" in summary.failed[NAMES[1]]
    assert f"{NAMES[1]}: " in capsys.readouterr().err
    write_image(data / "photos", 2)
    edges = Counted(data / "edges")
    summary = refine(data, out, edges)
    assert (summary.images, summary.failed, edges.names) == (4, {}, [NAMES[1]])
    refine(data, tmp_path / "undisturbed.json")
    assert out.read_bytes() == (tmp_path / "undisturbed.json").read_bytes()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_image_without_edges_fails_alone(data, tmp_path, batch_size):
    (data / "edges" / NAMES[1]).unlink()
    Image.new("L", (9, 7)).save(data / "edges" / NAMES[3])
    summary = refine(data, tmp_path / "refined.json", batch_size=batch_size)
    assert (summary.images, summary.masks) == (2, 4)
    assert "no such edge map" in summary.failed[NAMES[1]]
    assert "(7, 9)" in summary.failed[NAMES[3]]
    write_edges(data / "edges", 2)
    write_edges(data / "edges", 4)
    summary = refine(data, tmp_path / "refined.json", overwrite=True)
    assert (summary.images, summary.failed) == (4, {})


def test_a_failed_image_is_tried_again(data, tmp_path):
    def predict(images):
        if fails:
            raise ValueError(fails.pop())
        return true_edges(images)

    fails = ["no memory"]
    source = PredictedEdges(predict, {})
    assert refine(data, tmp_path / "refined.json", source).failed == {
        NAMES[0]: f"{NAMES[0]}: no memory"
    }
    summary = refine(data, tmp_path / "refined.json", source)
    assert (summary.images, summary.failed) == (4, {})


def test_ids_of_the_source_are_kept(data, tmp_path):
    """CutLER's detections have ids only, which lead to the images, and scores."""
    masks = {
        image_name(number): mask
        for number, mask in ((2, square_ids(2) > 0), (4, square_ids(4) > 0))
    }
    peer_masks.write_cutler_results(data, {name: mask[None] for name, mask in masks.items()})
    out = tmp_path / "refined.json"
    refine(data, out, masks="coco_instances_results.json")
    content = json.loads(out.read_text())
    assert [image["id"] for image in content["images"]] == [2, 4]
    assert [image["file_name"] for image in content["images"]] == [NAMES[1], NAMES[3]]
    scores = [(entry["image_id"], entry["score"]) for entry in content["annotations"]]
    assert scores == [(2, 0.9), (2, 0.9), (4, 0.4), (4, 0.4)]


def test_annotations_tell_the_names_of_ids(data, tmp_path):
    results = peer_masks.write_cutler_results(data, source_masks(2))
    change_json(
        results,
        lambda entries: [entry.update(image_id=entry["image_id"] + 70) for entry in entries],
    )
    images = [{"id": 70 + number, "file_name": NAMES[number - 1]} for number in (1, 2)]
    path = peer_masks.save(data / "names.json", {"images": images, "annotations": []})
    out = tmp_path / "refined.json"
    refine(data, out, masks=results.name, annotations=path)
    content = json.loads(out.read_text())
    assert [(image["id"], image["file_name"]) for image in content["images"]] == [
        (71, NAMES[0]),
        (72, NAMES[1]),
    ]


def test_masks_without_ids_are_numbered_by_name(data, tmp_path):
    shutil.copytree(data / "photos", data / "more" / "sub")
    shutil.rmtree(data / "photos")
    (data / "more").rename(data / "photos")
    peer_masks.write_png(data / "png", source_masks(4))
    out = tmp_path / "refined.json"
    refine(data, out, masks="png", format="png")
    content = json.loads(out.read_text())
    assert [(image["id"], image["file_name"]) for image in content["images"]] == [
        (number, f"sub/{name}") for number, name in enumerate(NAMES, start=1)
    ]
    assert content["categories"] == [{"id": 1, "name": "object"}]


def test_categories_cover_all_labels(data, tmp_path):
    """Semantic masks: classes without names, each refined on its own."""
    masks = {image_name(n): np.stack([square_ids(n) == 1, square_ids(n) == 2]) for n in (1, 2)}
    peer_masks.write_dhr(data / "dhr", masks)
    out = tmp_path / "refined.json"
    refine(data, out, masks="dhr", format="dhr")
    content = json.loads(out.read_text())
    assert content["categories"] == [{"id": 2, "name": "class 2"}, {"id": 15, "name": "class 15"}]
    coco = COCO(str(out))
    for entry in content["annotations"]:
        mask = coco.annToMask(entry) > 0
        value = 1 if entry["category_id"] == 15 else 2
        assert overlap(mask, square_ids(entry["image_id"]) == value) > 0.9
    assert len(content["annotations"]) == 4


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"workers": -1}, {"format": "sam"}])
def test_bad_options(data, tmp_path, options):
    with pytest.raises(ValueError, match=r"must be|sam"):
        refine(data, tmp_path / "refined.json", **options)
    assert not list(tmp_path.glob("refined*"))


def test_an_edge_below_the_threshold_does_not_split(data, tmp_path):
    weak = (square_edges(1) * 51).astype(np.uint8)
    Image.fromarray(weak).save(data / "edges" / NAMES[0])
    out = tmp_path / "refined.json"
    summary = refine(data, out)
    assert summary.masks == 7
