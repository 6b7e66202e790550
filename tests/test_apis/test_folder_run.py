"""Folder runs: resumed, refused, and killed for real."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.apis import expand_inputs, run_folder
from trace_mm.files import TEMPORARY_SUFFIX, locked, read_file, write_atomically
from trace_mm.jobs import edges
from trace_mm.jobs.places import EDGE_FOLDERS
from trace_mm.structures import EdgeDataSample

SETTINGS = {"model": "stub", "seed": 0}


class Stub:
    """Predicts the red channel, and remembers how many images it was given at a time."""

    def __init__(self, seconds: float = 0.0):
        self.batches: list[int] = []
        self.seconds = seconds

    def __call__(self, images):
        self.batches.append(len(images))
        time.sleep(self.seconds)
        if any(image[0, 0, 1] == 1 for image in images):
            raise ValueError("too green")
        samples = []
        for image in images:
            sample = EdgeDataSample(pred_edges=torch.from_numpy(image[:, :, 0].copy()))
            sample.timestep, sample.scores = 100, {100: float(image.mean()), 200: 0.5}
            samples.append(sample)
        return samples


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(9):
        path = tmp_path / "photos" / f"{'sub/' if index % 2 else ''}{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (12 + index, 17, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def _run(photos, out, predict=None, **options):
    options = {"settings": SETTINGS, "show_progress": False, "save": ("npz", "png"), **options}
    return run_folder(predict or Stub(), expand_inputs(photos), out, **options)


def _journal(out: Path) -> tuple[dict, dict]:
    """Settings, and records by key."""
    header, *lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return header["settings"], {line["key"]: line for line in lines}


def _contents(out: Path) -> dict[str, bytes]:
    files = [path for path in out.rglob("*") if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_results(photos, tmp_path):
    out = tmp_path / "out"
    summary = _run(photos, out, save=("overlay", "npz", "png"), batch_size=4)
    assert (len(summary.done), summary.skipped, summary.failed) == (9, [], {})
    red = np.asarray(Image.open(photos / "sub/3.png"))[:, :, 0]
    np.testing.assert_array_equal(np.asarray(Image.open(out / "edges/sub/3.png")), red)
    with np.load(out / "npz/sub/3.npz") as saved:
        assert saved["edges"].dtype == np.float32
        np.testing.assert_array_equal(saved["edges"], red.astype(np.float32) / np.float32(255))
        assert saved["timestep"] == 100
        np.testing.assert_array_equal(saved["score_timesteps"], [100, 200])
        assert saved["scores"][1] == 0.5
    assert Image.open(out / "overlay/0.png").mode == "RGB"
    settings, records = _journal(out)
    assert settings == SETTINGS
    assert records["sub/3"]["result"] == {"timestep": 100}
    assert list(records) == sorted(records)


def test_same_bytes_whatever_the_batch_size(photos, tmp_path):
    _run(photos, tmp_path / "one", batch_size=1)
    _run(photos, tmp_path / "four", batch_size=4)
    assert _contents(tmp_path / "one") == _contents(tmp_path / "four")


def test_rerun_does_what_is_missing_only(photos, tmp_path):
    out, predict = tmp_path / "out", Stub()
    _run(photos, out)
    before = _contents(out)
    (out / "edges/0.png").unlink()
    (out / "npz/2.npz").write_bytes(b"cut")
    summary = _run(photos, out, predict)
    assert summary.done == ["0", "2"]
    assert len(summary.skipped) == 7
    assert predict.batches == [1]  # the other PNG is made of what the npz holds
    assert _contents(out) == before


def test_changed_image_is_done_again_and_touched_one_is_not(photos, tmp_path):
    out = tmp_path / "out"
    _run(photos, out)
    os.utime(photos / "0.png", (1, 1))
    Image.new("RGB", (3, 3)).save(photos / "2.png")
    assert _run(photos, out).done == ["2"]
    assert np.asarray(Image.open(out / "edges/2.png")).shape == (3, 3)


def test_other_images_of_the_same_name_are_refused(photos, tmp_path):
    out = tmp_path / "out"
    _run(photos, out)
    moved = shutil.copytree(photos, tmp_path / "moved")
    Image.new("RGB", (3, 3)).save(moved / "2.png")
    before = _contents(out)
    with pytest.raises(ValueError, match=r"photos/2\.png .*moved/2\.png would replace"):
        _run(moved, out)
    assert _contents(out) == before


@pytest.mark.parametrize(
    ("first", "then", "predictions"),
    [(["png"], ["overlay"], 0), (["npz"], ["png", "overlay"], 0), (["png"], ["npz"], 9)],
)
def test_other_kinds_are_added_of_what_is_stored(photos, tmp_path, first, then, predictions):
    out, predict = tmp_path / "out", Stub()
    _run(photos, out, save=first)
    assert len(_run(photos, out, predict, save=then).done) == 9
    assert len(predict.batches) == predictions
    _run(photos, tmp_path / "at once", save=[*first, *then])
    assert _contents(out) == _contents(tmp_path / "at once")


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_stored_edges_that_are_damaged_are_made_again(photos, tmp_path, kind):
    out = tmp_path / "out"
    _run(photos, out, save=[kind])
    stored = out / f"{EDGE_FOLDERS[kind]}/2.{kind}"
    data = stored.read_bytes()
    stored.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    (reason,) = _run(photos, out, save=["overlay"]).failed.values()
    assert f"2.{kind}" in reason
    assert _run(photos, out, save=[kind, "overlay"]).done == ["2"]
    assert stored.read_bytes() == data


def test_a_changed_image_renews_all_that_was_made_of_it(photos, tmp_path):
    out = tmp_path / "out"
    _run(photos, out, save=["png", "overlay"])
    Image.new("RGB", (3, 3)).save(photos / "2.png")
    assert _run(photos, out, save=["png"]).done == ["2"]
    assert np.asarray(Image.open(out / "overlay/2.png")).shape == (3, 3, 3)


def test_other_settings_are_refused_and_overwritten_on_request(photos, tmp_path):
    out = tmp_path / "out"
    _run(photos, out)
    before = _contents(out)
    with pytest.raises(ValueError, match=r"seed 0, now 7.*--overwrite"):
        _run(photos, out, settings={**SETTINGS, "seed": 7})
    assert _contents(out) == before
    summary = _run(photos, out, settings={**SETTINGS, "seed": 7}, save=["png"], overwrite=True)
    assert len(summary.done) == 9
    assert not list(out.rglob("*.npz"))
    assert _journal(out)[0]["seed"] == 7


def test_foreign_files_are_not_overwritten(photos, tmp_path):
    out = tmp_path / "out"
    (out / "edges").mkdir(parents=True)
    (out / "edges/0.png").write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"holds files.*remove them, or choose another folder"):
            _run(photos, out, overwrite=overwrite)
    assert (out / "edges/0.png").read_bytes() == b"mine"


def test_overwriting_leaves_nothing_of_a_killed_run(photos, tmp_path):
    """A file is put in place before its record is written, so a kill can leave it alone."""
    out = tmp_path / "out"
    _run(photos, out)
    shutil.copy(out / "edges/0.png", out / "edges/sub/unrecorded.png")
    (out / "edges/notes.txt").write_text("mine")
    (out / "unrecorded.png").write_bytes(b"mine")
    _run(photos, out, settings={**SETTINGS, "seed": 7}, save=["png"], overwrite=True)
    listed = {path for record in _journal(out)[1].values() for path in record["outputs"]}
    there = {str(path.relative_to(out)) for path in (out / "edges").rglob("*") if path.is_file()}
    assert there == {*listed, "edges/notes.txt"}
    assert (out / "unrecorded.png").read_bytes() == b"mine"


def test_images_that_were_only_touched_are_looked_at_once(photos, tmp_path, monkeypatch):
    out, read = tmp_path / "out", []
    _run(photos, out)
    before = _contents(out)
    monkeypatch.setattr(edges, "read_file", lambda path: read.append(path.name) or read_file(path))
    os.utime(photos / "2.png", ns=(1, 1))
    for _ in range(2):
        assert len(_run(photos, out).skipped) == 9
    assert read == ["2.png"]
    assert _journal(out)[1]["2"]["state"]["modified"] == 1
    after = _contents(out)
    assert after.pop("manifest.jsonl") != before.pop("manifest.jsonl")
    assert after == before


def test_overwrite_removes_nothing_outside(photos, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    _run(photos, out)
    path = out / "manifest.jsonl"
    path.write_text(path.read_text().replace("edges/0.png", "../mine.png"))
    _run(photos, out, overwrite=True)
    assert mine.read_bytes() == b"mine"


def test_bad_images_are_recorded_and_the_rest_goes_on(photos, tmp_path):
    out, predict = tmp_path / "out", Stub()
    (photos / "3a.png").write_bytes(b"broken")
    (photos / "3b.png").write_bytes(b"")
    Image.new("RGB", (4, 4), (0, 255, 0)).save(photos / "4a.png")
    summary = _run(photos, out, predict, batch_size=3)
    assert len(summary.done) == 9
    assert {Path(path).name: reason for path, reason in summary.failed.items()} == {
        "3a.png": f"{photos}/3a.png: not an image, or of an unknown format",
        "3b.png": f"{photos}/3b.png: the file is empty",
        "4a.png": f"{photos}/4a.png: too green",
    }
    assert "too green" in _journal(out)[1]["4a"]["error"]
    Image.new("RGB", (4, 4)).save(photos / "3b.png")
    summary = _run(photos, out)
    assert summary.done == ["3b"]
    assert len(summary.failed) == 2


def test_torn_and_damaged_lines_count_as_not_done(photos, tmp_path):
    out = tmp_path / "out"
    _run(photos, out)
    before = _contents(out)
    path = out / "manifest.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b"\0\0\0\n"
    path.write_bytes(b"".join(lines)[:-25])
    assert len(_run(photos, out).done) == 2
    assert _contents(out) == before


@pytest.mark.parametrize("first", [b"", b"{}\n", b'{"format": 99, "settings": {}}\n'])
def test_damaged_settings_are_refused(photos, tmp_path, first):
    out = tmp_path / "out"
    _run(photos, out)
    path = out / "manifest.jsonl"
    path.write_bytes(first + b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match=r"manifest\.jsonl is damaged, or not a journal"):
        _run(photos, out)
    assert len(_run(photos, out, overwrite=True).done) == 9


def test_second_run_is_refused(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with locked(out), pytest.raises(ValueError, match="another run is writing"):
        _run(photos, out)
    assert len(_run(photos, out).done) == 9


def test_failed_write_leaves_no_trace(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert _contents(tmp_path) == {"a.png": b"old"}


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"save": []}, {"save": ["jpg"]}])
def test_wrong_options(photos, tmp_path, options):
    with pytest.raises(ValueError, match=r"batch size|save must be"):
        _run(photos, tmp_path / "out", **options)


def test_arrays_are_refused(tmp_path):
    with pytest.raises(ValueError, match="files only"):
        _run(np.zeros((2, 2), np.uint8), tmp_path / "out")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_runs_resume_to_the_same_bytes(photos, tmp_path):
    _run(photos, tmp_path / "undisturbed")
    expected = _contents(tmp_path / "undisturbed")
    out, rng = tmp_path / "out", random.Random(0)
    context = multiprocessing.get_context("spawn")
    for goal in (0, 2, 4, 6):
        process = context.Process(target=_run, args=(photos, out, Stub(0.1)))
        process.start()
        while process.is_alive() and _lines(out) < goal:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        for name, data in _contents(out).items():  # whatever is there is whole
            if not name.endswith((TEMPORARY_SUFFIX, ".jsonl")):
                assert data == expected[name]
    # What a kill between writing and renaming leaves.
    (out / "edges/sub").mkdir(parents=True, exist_ok=True)
    (out / f"edges/sub/.1-0{TEMPORARY_SUFFIX}").write_bytes(b"half")
    summary = _run(photos, out)
    assert summary.skipped
    assert _contents(out) == expected


def _lines(out):
    """Lines of all journals; one may be removed meanwhile."""
    count = 0
    for path in out.glob("manifest*.jsonl") if out.exists() else ():
        with suppress(FileNotFoundError):
            count += path.read_bytes().count(b"\n") - 1
    return count


def test_manifest_is_json_lines(photos, tmp_path):
    _run(photos, tmp_path / "out")
    lines = (tmp_path / "out/manifest.jsonl").read_text().splitlines()
    assert len(lines) == 10
    assert json.loads(lines[1])["key"] == "0"


def test_images_are_not_written_onto(photos, tmp_path):
    out = tmp_path / "out"
    _run(photos, out)
    before = _contents(out)
    images = [out / "edges" / "0.png", photos / "0.png"]
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"0\.png, which is read, lies in .*edges"):
            _run(images, out, overwrite=overwrite)
    assert _contents(out) == before


def test_a_folder_that_cannot_be_written_is_found_before_any_work(photos):
    predict = Stub()
    with pytest.raises(NotADirectoryError, match=r"0\.png"):
        _run(photos, photos / "0.png" / "out", predict)
