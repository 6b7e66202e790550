"""Filling the cache: killed, resumed, by several processes at once, with images that are broken."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from trace_mm.apis.pseudo_edges import describe_labels, describe_summary, fill_pseudo_edges
from trace_mm.datasets import UnlabelledImageDataset
from trace_mm.models.distillation import OURS, PAPER

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


def entries(folder):
    return sorted((folder / "cache").rglob("*.png"))


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
    assert (summary.done, summary.present, summary.unreadable) == (12, 0, [])
    item = dataset[3]
    torch.testing.assert_close(
        item["data_samples"].pseudo_edges, item["inputs"].mean(0), atol=1e-4, rtol=0
    )
    assert len(list((folder / "cache").glob("*/teacher.json"))) == 1
    entries(folder)[0].unlink()

    def fail(image):
        raise AssertionError("computed again")

    with pytest.raises(AssertionError):
        fill_pseudo_edges(dataset, fail, show_progress=False)
    summary = fill_pseudo_edges(dataset, brightness, show_progress=False)
    assert (summary.done, summary.present) == (1, 11)


def test_killed_run_is_resumed(folder):
    def run():
        done = []

        def predict(image):
            done.append(image)
            if len(done) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return image.mean(0)

        fill_pseudo_edges(make_dataset(folder), predict, show_progress=False)

    process = FORK.Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(entries(folder)) == 4
    summary = fill_pseudo_edges(make_dataset(folder), brightness, show_progress=False)
    assert (summary.done, summary.present) == (8, 4)


@pytest.mark.parametrize("shared_out", [False, True])
def test_several_processes_do_each_image_once(folder, shared_out):
    results = FORK.Queue()

    def run(rank):
        place = {"rank": rank, "world_size": 3} if shared_out else {}
        summary = fill_pseudo_edges(make_dataset(folder), brightness, show_progress=False, **place)
        results.put((summary.done, summary.present))

    processes = [FORK.Process(target=run, args=(rank,)) for rank in range(3)]
    for process in processes:
        process.start()
    counts = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(done for done, _ in counts) == 12
    assert len(entries(folder)) == 12
    assert all(done + present == (4 if shared_out else 12) for done, present in counts)


def test_broken_images_are_named_and_others_are_done(folder):
    (folder / "images" / "05.png").write_bytes(b"no image")
    dataset = make_dataset(folder)
    (folder / "images" / "07.png").unlink()
    summary = fill_pseudo_edges(dataset, brightness, show_progress=False)
    assert summary.done == 10
    text = describe_summary(summary)
    assert "10 done, 0 were there, 2 unreadable" in text
    assert "05.png: not an image" in text
    assert "07.png: no such file" in text


def test_errors_of_the_teacher_are_not_taken_for_broken_images(folder):
    with pytest.raises(ValueError, match="edges must be"):
        fill_pseudo_edges(make_dataset(folder), lambda image: image, show_progress=False)
    with pytest.raises(ValueError, match="no pseudo_edges"):
        fill_pseudo_edges(make_dataset(folder, cached=False), brightness)


def test_the_cache_does_not_lie_among_the_images(folder):
    dataset = make_dataset(folder)
    dataset.pseudo_edges.folder = folder / "images" / "cache"
    with pytest.raises(ValueError, match="images, which is read"):
        fill_pseudo_edges(dataset, brightness, show_progress=False)
    assert not (folder / "images" / "cache").exists()
