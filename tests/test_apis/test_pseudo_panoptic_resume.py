"""Runs of pseudo-panoptic labels go on: after kills, changes of the input, on other ranks."""

import json
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.panoptic_data import STEPS, contents, load, make, write_map, write_panoptic_data
from tests.touching_squares import SIZE, image_name, write_image
from trace_mm.files import locked
from trace_mm.jobs.edge_sources import StoredEdges
from trace_mm.panoptic import PanopticClasses, PanopticLabeler

PROJECT = pathlib.Path(__file__).parents[2]
NAMES = [f"{image_name(number)}.png" for number in range(1, 5)]
KILLS = 20


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


class Counted(StoredEdges):
    """Stored edges that remember of which images, and are interrupted before one of them."""

    def __init__(self, folder, stop_at=None):
        super().__init__(folder)
        self.stop_at, self.names = stop_at, []

    def __call__(self, images):
        if len(self.names) == self.stop_at:
            raise KeyboardInterrupt
        self.names += [image.name for image in images]
        return super().__call__(images)


def again(data, out, **options):
    """Run once more; the images whose edges were needed."""
    edges = Counted(data / "edges")
    make(data, out, edges, **options)
    return edges.names


def test_a_stopped_run_goes_on(data, tmp_path, out):
    make(data, tmp_path / "undisturbed")
    first = Counted(data / "edges", stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        make(data, out, first)
    assert not (out / "panoptic.json").exists()
    assert again(data, out) == NAMES[2:]
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert again(data, out) == []
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_failures_are_tried_again(data, tmp_path, out):
    (data / "photos" / NAMES[1]).write_bytes(b"no image")
    assert list(make(data, out).failed) == [NAMES[1]]
    write_image(data / "photos", 2)
    assert again(data, out) == [NAMES[1]]
    make(data, tmp_path / "undisturbed")
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_an_image_that_has_gone_bad_loses_its_labels(data, out):
    make(data, out)
    write_map(data / "maps", 2, np.full(SIZE, 9, dtype=np.uint8))  # an unknown class
    summary = make(data, out)
    assert (summary.labelled, list(summary.failed)) == (3, [NAMES[1]])
    assert [image["file_name"] for image in load(out, "panoptic")["images"]] == [
        NAMES[0],
        *NAMES[2:],
    ]
    for folder in ("panoptic", "semantic", "pictures"):
        assert not (out / folder / NAMES[1]).exists()


@pytest.mark.parametrize("folder", ["photos", "maps", "edges"])
def test_an_image_whose_input_has_changed_is_done_again(data, tmp_path, out, folder):
    make(data, out)
    kind = {"photos": "RGB", "maps": "L", "edges": "L"}[folder]
    Image.new(kind, SIZE[::-1]).save(data / folder / NAMES[2])
    assert again(data, out) == [NAMES[2]]
    make(data, tmp_path / "undisturbed")
    assert contents(out) == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("folder", ["panoptic", "semantic", "pictures"])
def test_a_lost_file_is_made_again(data, out, folder):
    make(data, out)
    before = contents(out)
    (out / folder / NAMES[1]).unlink()
    assert again(data, out) == [NAMES[1]]
    assert contents(out) == before


def test_images_and_maps_that_come_and_go(data, tmp_path, out):
    make(data, out)
    (data / "photos" / NAMES[0]).unlink()
    (data / "maps" / NAMES[1]).unlink()
    write_image(data / "photos", 9)
    summary = make(data, out)
    assert (summary.labelled, len(summary.untagged), summary.unused_maps) == (2, 2, 1)
    assert not (out / "panoptic" / NAMES[0]).exists()
    assert not (out / "panoptic" / NAMES[1]).exists()
    make(data, tmp_path / "undisturbed")
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_other_settings_are_refused(data, tmp_path, out):
    make(data, out)
    before = contents(out)
    other = PanopticLabeler(steps=STEPS + 1)
    with pytest.raises(ValueError, match=r"other settings: labeler .*steps.*--overwrite"):
        make(data, out, labeler=other)
    with pytest.raises(ValueError, match=r"other settings: edges .*now None"):
        make(data, out, edges=None)
    classes = PanopticClasses.create(["square"], ["background"], category_ids=None)
    make(data, out, classes=classes)  # the same
    classes = PanopticClasses.create(["box"], ["background"])
    with pytest.raises(ValueError, match="other settings: classes '1 things, 1 stuff"):
        make(data, out, classes=classes)
    assert contents(out) == before
    make(data, out, labeler=other, overwrite=True)
    make(data, tmp_path / "undisturbed", labeler=other)
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_overwriting_removes_what_the_earlier_run_wrote(data, out):
    make(data, out)
    (out / "panoptic" / "mine.txt").write_text("kept")
    (data / "photos" / NAMES[3]).unlink()
    make(data, out, overwrite=True)
    assert sorted(path.name for path in (out / "panoptic").iterdir()) == [*NAMES[:3], "mine.txt"]


def test_nothing_outside_the_folder_is_removed(data, tmp_path, out):
    make(data, out)
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"mine")
    lines = (out / "manifest.jsonl").read_bytes().splitlines()
    record = json.loads(lines[1])
    record["outputs"] = {"panoptic/../../outside.png": 4, str(outside): 4, "": 0}
    lines[1] = json.dumps(record).encode()
    (out / "manifest.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    make(data, out, overwrite=True)
    assert outside.read_bytes() == b"mine"


def test_files_without_a_manifest_are_left_alone(data, out):
    (out / "semantic").mkdir(parents=True)
    (out / "semantic" / "mine.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"semantic holds files, but .* has no manifest\.jsonl"):
        make(data, out)
    with pytest.raises(ValueError, match="remove them, or choose another folder"):
        make(data, out, overwrite=True)
    assert (out / "semantic" / "mine.png").read_bytes() == b"mine"


def test_a_damaged_manifest(data, out):
    make(data, out)
    (out / "manifest.jsonl").write_bytes(b"no manifest\n")
    with pytest.raises(ValueError, match=r"manifest\.jsonl is damaged"):
        make(data, out)
    assert make(data, out, overwrite=True).labelled == 4


def test_two_runs_do_not_write_one_folder(data, out):
    make(data, out)
    with locked(out), pytest.raises(ValueError, match="another run is writing to this folder"):
        make(data, out)


def _run(data, out, started):
    started.set()
    make(pathlib.Path(data), pathlib.Path(out))


def _run_to_operation(data, out, number):
    """Run, and die before the given one of the operations that place or remove files."""
    left = [number]

    def counted(operation):
        def call(path, *arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(path, *arguments, **options)

        return call

    for name in ("replace", "unlink"):
        setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
    make(pathlib.Path(data), pathlib.Path(out))


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything already, so that they start fast."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.panoptic_data"])
    return context


def test_a_run_that_is_killed_at_any_moment_ends_as_an_undisturbed_one(tmp_path, processes):
    data = write_panoptic_data(tmp_path / "data", count=60)
    start = time.monotonic()
    make(data, tmp_path / "undisturbed")
    whole = time.monotonic() - start
    moments, killed, runs = random.Random(0), 0, 0
    while killed < KILLS:  # a run that ends before its kills are used up is followed by another
        runs += 1
        out = tmp_path / f"out{runs}"
        finished = False
        while killed < KILLS and not finished:
            started = processes.Event()
            process = processes.Process(target=_run, args=(str(data), str(out), started))
            process.start()
            assert started.wait(60)
            process.join(moments.uniform(0, whole / 5))
            process.kill()
            process.join()
            finished = process.exitcode == 0
            assert process.exitcode in (0, -signal.SIGKILL)
            killed += not finished
        make(data, out)
        assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_run_that_is_killed_between_two_files_goes_on(data, tmp_path, out, processes):
    make(data, tmp_path / "undisturbed")
    for number in [*range(1, 30, 3), 2, 2, 2, 3, 4, 5, 6, 7]:
        process = processes.Process(target=_run_to_operation, args=(str(data), str(out), number))
        process.start()
        process.join(60)
        assert process.exitcode in (0, -signal.SIGKILL)
    make(data, out)
    assert contents(out) == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_ranks_write_the_files_of_one(tmp_path):
    data = write_panoptic_data(tmp_path / "data", count=7)
    write_map(data / "maps", 3, np.full(SIZE, 9, dtype=np.uint8))  # an unknown class
    (data / "maps" / f"{image_name(5)}.png").unlink()
    config = tmp_path / "config.py"
    config.write_text(
        f"data_root = {str(data)!r}\n"
        f"images, semantic, classes = 'photos', 'maps', {str(data / 'classes.json')!r}\n"
        f"model = dict(type='EdgeFolder', folder={str(data / 'edges')!r})\n"
        f"labeler = dict(type='PanopticLabeler', steps={STEPS})\n"
    )
    tool = [str(PROJECT / "tools" / "make_pseudo_panoptic.py"), str(config), "--out"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    for name, launcher in (("one", []), ("two", launch), ("resumed", [])):
        if name == "resumed":  # one rank goes on from what two have left
            copy_part(tmp_path / "two", tmp_path / "resumed")
        done = subprocess.run(
            [sys.executable, *launcher, *tool, str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 1  # one image fails
        assert "ids 9 mean no class" in done.stderr
        assert done.stdout.count("1 images failed, 1 have no semantic map") == 1
        assert contents(tmp_path / name) == contents(tmp_path / "one")
    assert len(load(tmp_path / "one", "panoptic")["images"]) == 5


def copy_part(finished, target):
    """What two ranks have left that were killed after an image each; one line is torn."""
    target.mkdir()
    header, *records = (finished / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    for rank, record in enumerate(records[:2]):
        (target / f"manifest.rank-000{rank}.jsonl").write_bytes(header + record + records[5][:30])
        for path in json.loads(record)["outputs"]:
            (target / path).parent.mkdir(exist_ok=True)
            (target / path).write_bytes((finished / path).read_bytes())
