"""The job of panoptic labels: what a run knows without doing anything, and what its end writes."""

import json
import pickle
from array import array

import pytest

from tests.panoptic_data import CLASSES, STEPS, make, write_panoptic_data
from trace_mm.jobs.edge_sources import StoredEdges
from trace_mm.jobs.panoptic import PanopticJob
from trace_mm.jobs.panoptic_inputs import find_inputs
from trace_mm.panoptic import PanopticLabeler, SemanticMaps
from trace_mm.runs.engine import read_journal
from trace_mm.runs.journal import JournalPart
from trace_mm.runs.records import Record, as_json


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data", count=3)


def job_of(data, out):
    edges, labeler = StoredEdges(data / "edges"), PanopticLabeler(steps=STEPS)
    inputs = find_inputs(data / "photos", SemanticMaps(data / "maps", CLASSES))
    edges.expect(inputs.with_map(), inputs.names)
    return PanopticJob(inputs, out, edges, labeler)


def test_settings_are_json_and_of_no_version(data, tmp_path):
    settings = job_of(data, tmp_path / "out").settings()
    assert as_json(settings) == settings
    assert "version" not in settings and settings["results"] == 1


def test_what_workers_are_made_of_is_small_however_many_images_there_are(data, tmp_path):
    before = len(pickle.dumps(job_of(data, tmp_path / "out").recipe()))
    write_panoptic_data(data, count=40)
    assert len(pickle.dumps(job_of(data, tmp_path / "out").recipe())) == before


def test_an_image_that_is_done_is_no_item(data, tmp_path):
    job = job_of(data, tmp_path / "out")
    assert [job.item(number, None).key for number in range(3)] == list(job.keys)
    make(data, tmp_path / "out")
    with read_journal(job) as journal:
        assert [job.item(number, journal.record(number)) for number in range(3)] == [None] * 3
        (tmp_path / "out/semantic" / job.keys[1]).write_bytes(b"shorter")
        assert job.item(1, journal.record(1)).key == job.keys[1]


def test_the_files_are_made_of_records_alone(data, tmp_path):
    """Ids of segments stay, those of instances count, and images come by their ids."""
    job = job_of(data, tmp_path / "out")
    job.inputs.ids[:] = array("q", [30, 10, 20])
    thing = {"id": 2, "category_id": 1, "area": 6, "bbox": [0, 0, 3, 2], "iscrowd": 0}
    thing["segmentation"] = {"size": [4, 5], "counts": "0"}
    stuff = {"id": 5, "category_id": 2, "area": 8, "bbox": [0, 2, 4, 2], "iscrowd": 0}
    result = {"height": 4, "width": 5, "annotations": [thing, stuff]}
    records = [Record(job.keys[0], result=result), Record(job.keys[1], error="no such map")]
    records.append(Record(job.keys[2], result={**result, "annotations": [stuff]}))
    (tmp_path / "out").mkdir()
    with JournalPart(tmp_path / "out/manifest.jsonl", 0, job.settings()) as part:
        for record in records:
            part.add(record)
    job.shown = frozenset()  # there are no pictures
    with read_journal(job) as journal:
        job.conclude(journal)
    tally = job.tally
    assert (tally.labelled, tally.failed, tally.void, tally.pixels) == (2, 1, 6 + 12, 40)
    panoptic = json.loads((tmp_path / "out/panoptic.json").read_text())
    assert [(one["id"], one["file_name"]) for one in panoptic["images"]] == [
        (20, job.keys[2]),
        (30, job.keys[0]),
    ]
    infos = [one["segments_info"] for one in panoptic["annotations"]]
    assert [[one["id"] for one in info] for info in infos] == [[5], [2, 5]]
    (instance,) = json.loads((tmp_path / "out/instances.json").read_text())["annotations"]
    assert instance == {**thing, "id": 1, "image_id": 30}
