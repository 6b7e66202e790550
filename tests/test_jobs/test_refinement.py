"""A refinement ends with the same files, whoever does the work and whatever is killed."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from tests import peer_masks
from tests.touching_squares import (
    change_json,
    image_name,
    source_masks,
    square_ids,
    write_data,
    write_image,
)
from trace_mm.apis.refine_masks import refine_masks
from trace_mm.jobs.edge_sources import StoredEdges
from trace_mm.jobs.refinement import RefinementJob
from trace_mm.jobs.refinement_inputs import find_inputs
from trace_mm.refinement import BoundaryGuidedPropagation, open_masks
from trace_mm.runs.engine import run
from trace_mm.runs.executors import LocalExecutor

COUNT = 6
NAMES = [f"{image_name(number)}.png" for number in range(1, COUNT + 1)]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", COUNT)


@dataclass(frozen=True)
class Refiner:
    """The real one, which can be told to be slow, or not to work at all."""

    seconds: float = 0
    forbidden: bool = False
    scores: str = "source"

    @property
    def real(self):
        return BoundaryGuidedPropagation(steps=16)

    def settings(self):
        return self.real.settings()

    def __call__(self, instances, edges):
        assert not self.forbidden, "masks are refined again"
        time.sleep(self.seconds)
        return self.real(instances, edges)


@dataclass
class AcceleratedEdges:
    """Stored edges that say that they come from an accelerator, so that threads overlap."""

    stored: StoredEdges
    uses_accelerator: bool = True

    def __call__(self, images):
        return self.stored(images)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.stored, name)


def refine(data, out, executor=None, refiner=None, edges=None, **options):
    edges = edges or StoredEdges(data / "edges")
    paths = data / "masks.json", data / "photos", out
    options = {"show_progress": False, "executor": executor, **options}
    return refine_masks(*paths, edges, refiner or Refiner(), **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def parts(out):
    return contents(out.with_name(f"{out.name}.parts"))


@pytest.fixture
def expected(data, tmp_path):
    out, pictures = tmp_path / "expected.json", tmp_path / "expected"
    refine(data, out, show_dir=pictures)
    return out.read_bytes(), contents(pictures), parts(out)


def test_workers_and_batches_change_nothing(data, tmp_path, expected):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    summary = refine(data, out, LocalExecutor(2), batch_size=2, show_dir=pictures)
    assert summary.done == NAMES
    assert (out.read_bytes(), contents(pictures), parts(out)) == expected


def test_threads_change_nothing(data, tmp_path, expected):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    edges = AcceleratedEdges(StoredEdges(data / "edges"))
    refine(data, out, edges=edges, batch_size=2, show_dir=pictures)
    assert (out.read_bytes(), contents(pictures), parts(out)) == expected


def test_pictures_that_are_asked_for_later_need_no_walk(data, tmp_path, expected):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    refine(data, out)
    again = Refiner(forbidden=True)
    summary = refine(data, out, refiner=again, show_dir=pictures)
    assert (summary.done, summary.failed) == (NAMES, {})
    assert (out.read_bytes(), contents(pictures), parts(out)) == expected
    (pictures / NAMES[1]).write_bytes(b"of another run")
    assert refine(data, out, refiner=again, show_dir=pictures).done == [NAMES[1]]
    assert contents(pictures) == expected[1]
    assert refine(data, out, refiner=again).done == []  # and none has to be drawn
    other = tmp_path / "elsewhere"
    refine(data, out, refiner=again, show_dir=other)
    assert contents(other) == expected[1]


def test_killed_runs_go_on(data, tmp_path, expected):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    options = {"show_dir": pictures}
    arguments = data, out, LocalExecutor(1), Refiner(seconds=0.1)
    for goal in (1, 3):
        process = get_context("spawn").Process(target=refine, args=arguments, kwargs=options)
        process.start()
        while process.is_alive() and _lines(out) < goal:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert not out.exists()
    assert len(refine(data, out, show_dir=pictures).skipped) >= 3
    assert (out.read_bytes(), contents(pictures), parts(out)) == expected


def test_ranks_share_a_refinement(data, tmp_path, expected):
    out, pictures = tmp_path / "out.json", tmp_path / "pictures"
    program = tmp_path / "program.py"
    program.write_text(
        "from pathlib import Path\n"
        "from tests.test_jobs.test_refinement import NAMES, refine\n"
        f"paths = map(Path, {[str(data), str(out), str(pictures)]})\n"
        "data, out, pictures = paths\n"
        "summary = refine(data, out, show_dir=pictures)\n"
        "assert (summary.done, summary.masks) == (NAMES, 12), summary\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(program)], env=environment, check=True, timeout=100)
    assert (out.read_bytes(), contents(pictures), parts(out)) == expected


def test_an_image_that_can_no_longer_be_read_is_not_in_the_file(data, tmp_path):
    out = tmp_path / "out.json"
    before = refine(data, out).masks
    (data / "photos" / NAMES[2]).write_bytes(b"no image")
    summary = refine(data, out)
    assert list(summary.failed) == [NAMES[2]]
    assert (summary.images, summary.masks) == (COUNT - 1, before - 2)
    assert NAMES[2] not in out.read_text()
    write_image(data / "photos", 3)
    assert refine(data, out).done == [NAMES[2]]
    assert json.loads(out.read_text())["images"][2]["file_name"] == NAMES[2]


def test_a_bad_mask_ends_a_run_of_workers(data, tmp_path):
    change_json(data / "masks.json", lambda one: one["annotations"][0].update(segmentation=7))
    with pytest.raises(ValueError, match=r"masks\.json: annotations\[0\]"):
        refine(data, tmp_path / "out.json", LocalExecutor(2))
    summary = refine(data, tmp_path / "out.json", LocalExecutor(2), skip_bad=True)
    assert (summary.images, summary.masks, list(summary.notes)) == (COUNT, 10, NAMES[:1])
    assert summary.empty == 1
    with pytest.raises(ValueError, match=r"masks\.json: annotations\[0\]"):
        refine(data, tmp_path / "out.json")


def test_notes_of_reading_come_from_all_workers_and_stay(data, tmp_path):
    masks = data / "unsam"
    peer_masks.write_unsam(masks, source_masks(COUNT), refined=False)
    for path in masks.iterdir():
        change_json(path, lambda content: content["annotations"][0].update(iscrowd=1))
    paths = masks, data / "photos", tmp_path / "out.json"
    edges, options = StoredEdges(data / "edges"), {"show_progress": False}
    for workers in (2, 0):  # and when nothing is read any more
        summary = refine_masks(*paths, edges, Refiner(), workers=workers, **options)
        assert sum("are crowds (iscrowd 1)" in remark for remark in summary.remarks) == 1


def _job(data, masks):
    reader = open_masks(masks)
    edges = StoredEdges(data / "edges")
    inputs = find_inputs(reader, data / "photos", None, False)
    edges.expect(inputs.names(), inputs.others)
    out = data / "results" / "out.json"
    return RefinementJob(reader, inputs, data / "photos", out, edges, Refiner())


WRITERS = {
    "maskcut": lambda folder, images: peer_masks.write_maskcut(folder, images),
    "unsam": peer_masks.write_unsam,
    "u2seg": peer_masks.write_u2seg,
    "dhr": peer_masks.write_dhr,
    "voc": peer_masks.write_voc,
    "cups": peer_masks.write_cups,
    "png": peer_masks.write_png,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_workers_and_items_are_small_whatever_the_number_of_images(tmp_path, kind):
    sizes = []
    for count in (2, 20):
        data = write_data(tmp_path / str(count), count)
        squares = {image_name(n): (square_ids(n) == 1)[None] for n in range(1, count + 1)}
        masks = WRITERS[kind](data / "source", squares)
        job = _job(data, data / "source" if masks is None else masks)
        run(job, show_progress=False)  # what reading leaves behind is not carried along
        sizes.append(len(pickle.dumps(job.recipe())))
        item = pickle.loads(pickle.dumps(job.item(0, None)))
        reader = pickle.loads(pickle.dumps(job.recipe().reader))
        found = reader.read(item.data.masks, square_ids(1).shape)
        np.testing.assert_array_equal(found.masks[0], square_ids(1) == 1)
        assert len(pickle.dumps(item)) < 3000
        assert copy.copy(reader).records() == []
    assert sizes[1] < sizes[0] + 200


def _lines(out):
    folder = out.with_name(f"{out.name}.parts")
    journals = folder.glob("manifest*.jsonl") if folder.exists() else ()
    return sum(path.read_bytes().count(b"\n") - 1 for path in journals)
