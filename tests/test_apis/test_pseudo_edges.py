"""Filling the cache: killed, resumed, by several workers, with images that are broken."""

import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.apis.pseudo_edges import describe_labels, fill_pseudo_edges
from trace_mm.datasets import UnlabelledImageDataset
from trace_mm.files import locked
from trace_mm.models.distillation import OURS, PAPER
from trace_mm.runs.executors import LocalExecutor

FORK = multiprocessing.get_context("fork")


def make_dataset(folder, cached=True):
    cache = {"folder": str(folder / "cache"), "teacher": {"type": "SobelDetector"}}
    return UnlabelledImageDataset(
        {"type": "ImageFolder", "data_root": str(folder / "images")},
        size=8,
        pseudo_edges=cache if cached else None,
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for n in range(12):
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{n:02d}.png")
    return tmp_path


def brightness(image):
    return image.mean(0)


def fill(folder, predict=brightness, **options):
    return fill_pseudo_edges(make_dataset(folder), predict, show_progress=False, **options)


def counts(summary):
    return len(summary.done), len(summary.skipped), len(summary.failed)


def entries(folder):
    return sorted((folder / "cache").rglob("*.png"))


def contents(folder):
    found = (folder / "cache").rglob("*")
    return {path.relative_to(folder): path.read_bytes() for path in found if path.is_file()}


def test_the_labels_of_a_filled_cache_are_described(folder):
    dataset = make_dataset(folder)

    def skewed(image):  # a strong edge and little else, on a grid coarser than the image
        edges = 0.001 + 0.01 * image.mean(0)[:4, :4]
        edges[0] = 1.0
        return edges

    fill_pseudo_edges(dataset, skewed, show_progress=False)
    lines = describe_labels(dataset, PAPER)
    assert lines[0] == (
        "labels by 'mu_sigma' of 12 images: 25.0% edge, 0.0% interior, 75.0% uncertain"
    )
    assert lines[1].startswith("12 of 12 images have no interior label by 'mu_sigma': there the")
    (line,) = describe_labels(dataset, OURS)
    assert "mu_sigma_median" in line and " 0.0%" not in line
    assert describe_labels(make_dataset(folder, cached=False), OURS) == []


def test_fill_and_fill_again(folder):
    dataset = make_dataset(folder)
    summary = fill_pseudo_edges(dataset, brightness, show_progress=False)
    assert counts(summary) == (12, 0, 0)
    item = dataset[3]
    torch.testing.assert_close(
        item["data_samples"].pseudo_edges, item["inputs"].mean(0), atol=1e-4, rtol=0
    )
    assert len(list((folder / "cache").glob("*/teacher.json"))) == 1
    entries(folder)[0].unlink()

    def fail(image):
        raise AssertionError("computed again")

    with pytest.raises(AssertionError):
        fill(folder, fail)
    assert counts(fill(folder)) == (1, 11, 0)


def test_images_that_have_not_changed_are_not_read_again(folder, monkeypatch):
    fill(folder)
    with monkeypatch.context() as patch:
        patch.setattr("trace_mm.datasets.image_sources.read_file", None)
        assert counts(fill(folder)) == (0, 12, 0)
    shutil.copy(folder / "images" / "00.png", folder / "images" / "01.png")
    assert counts(fill(folder, None)) == (1, 11, 0)  # read, and nothing to compute
    Image.new("RGB", (9, 9)).save(folder / "images" / "02.png")
    assert counts(fill(folder)) == (1, 11, 0)
    assert len(entries(folder)) == 13


def test_a_cache_without_a_record_of_its_images_computes_nothing_again(folder):
    fill(folder)
    before = contents(folder)
    for journal in (folder / "cache").rglob("manifest.jsonl"):
        journal.unlink()
    assert counts(fill(folder, None)) == (12, 0, 0)
    assert contents(folder) == before


def test_datasets_share_a_cache(folder):
    fill(folder)
    source = {"type": "ImageFolder", "data_root": str(folder / "images"), "length": 5}
    cache = {"folder": str(folder / "cache"), "teacher": {"type": "SobelDetector"}}
    other = UnlabelledImageDataset([source, source], size=4, pseudo_edges=cache)
    summary = fill_pseudo_edges(other, brightness, show_progress=False)
    assert counts(summary) == (5, 0, 0)  # of the same images, each once
    assert len(entries(folder)) == 17
    assert counts(fill(folder, None)) == (0, 12, 0)


def test_killed_run_is_resumed(folder):
    fill(folder)
    undisturbed = contents(folder)
    shutil.rmtree(folder / "cache")

    def run():
        done = []

        def predict(image):
            done.append(image)
            if len(done) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return image.mean(0)

        fill(folder, predict)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(entries(folder)) == 4
    half = entries(folder)[0].with_name(".0-1.trace-tmp")
    half.touch()
    assert counts(fill(folder)) == (8, 4, 0)
    assert contents(folder) == undisturbed


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_batches_change_nothing(folder, workers):
    fill(folder)
    alone = contents(folder)
    shutil.rmtree(folder / "cache")
    assert counts(fill(folder, executor=LocalExecutor(workers), batch_size=5)) == (12, 0, 0)
    assert contents(folder) == alone


def test_two_runs_do_not_fill_a_cache_at_once(folder):
    fill(folder)
    with (
        locked(make_dataset(folder).pseudo_edges.folder),
        pytest.raises(ValueError, match="another run is writing to this folder"),
    ):
        fill(folder)
    with pytest.raises(ValueError, match=r"rank 1 of 3: .* by torchrun or srun"):
        fill(folder, rank=1, world_size=3)


def test_broken_images_are_named_and_others_are_done(folder, capsys):
    (folder / "images" / "05.png").write_bytes(b"no image")
    dataset = make_dataset(folder)
    (folder / "images" / "07.png").unlink()
    summary = fill_pseudo_edges(dataset, brightness, show_progress=False)
    assert summary.report(summary.folder) == 1
    told = capsys.readouterr()
    assert told.out.startswith("10 done, 0 were done before, 2 failed: ")
    assert "05.png: not an image" in told.err
    assert "07.png: no such file" in told.err


def test_edges_that_are_none_are_not_stored(folder):
    summary = fill(folder, lambda image: image)
    assert len(summary.failed) == 12 and entries(folder) == []
    assert all("edges must be (H, W)" in reason for reason in summary.failed.values())
    with pytest.raises(ValueError, match="no pseudo_edges"):
        fill_pseudo_edges(make_dataset(folder, cached=False), brightness)


def test_the_cache_does_not_lie_among_the_images(folder):
    cache = {"folder": str(folder / "images" / "cache"), "teacher": {"type": "SobelDetector"}}
    source = {"type": "ImageFolder", "data_root": str(folder / "images")}
    dataset = UnlabelledImageDataset(source, size=8, pseudo_edges=cache)
    with pytest.raises(ValueError, match="images, which is read"):
        fill_pseudo_edges(dataset, brightness, show_progress=False)
    assert not (folder / "images" / "cache").exists()
