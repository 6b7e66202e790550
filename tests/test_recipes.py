"""The recipes for other programs: their code runs where the program is installed."""

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from tests.documented_commands import documented_block
from trace_mm.cli import main
from trace_mm.datasets import render_scene


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(2):
        scene = Image.fromarray(render_scene(0, number, (96, 128)).image)
        scene.save(tmp_path / f"photos/{number}.png")
    scene.save(tmp_path / "photo.jpg")
    return tmp_path / "photos"


@pytest.fixture
def segmented(photos):
    """Runs ``trace-mm segment`` on edges that are there, so that no model is needed."""

    def segment(*options):
        (photos.parent / "edges").mkdir()
        for path in photos.glob("*.png"):
            edges = np.zeros((96, 128), np.uint8)
            edges[[20, 60], 30:90] = edges[20:60, [30, 90]] = 255
            Image.fromarray(edges).save(photos.parent / "edges" / path.name)
        given = ["segment", "photos", "--out", "masks", "--edges", "edges", "--quiet", *options]
        assert main(given) == 0

    return segment


def test_supervision(photos):
    pytest.importorskip("supervision", reason="supervision is not installed")
    space = {}
    exec(documented_block("docs/recipes/supervision.md", "supervision recipe"), space)
    found = space["detections"]
    assert 0 < len(space["large"]) <= len(found) <= 20
    with Image.open("large.png") as picture:
        assert picture.size == (128, 96)
    assert Path("dataset/instances.json").stat().st_size > 100


def test_fiftyone(segmented):
    pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
    segmented()
    space = {}
    exec(documented_block("docs/recipes/fiftyone.md", "fiftyone recipe"), space)
    assert space["dataset"].count("trace.detections.mask") == space["dataset"].count(
        "trace.detections"
    )
    assert len(space["view"]) > 0
    exec(documented_block("docs/recipes/fiftyone.md", "fiftyone comparison"), space)
    for sample in space["both"]:
        pairs = zip(sample.trace_segmentations.detections, sample.other.detections, strict=True)
        assert all(np.array_equal(one.mask, same.mask) for one, same in pairs)


def test_label_studio_finds_photos_below_the_root(photos):
    """Names in tasks are relative to the folder that was segmented, as the recipe says."""
    root = photos.parent / "project"
    root.mkdir()
    photos.rename(root / "photos")
    for path in (root / "photos").glob("*.png"):
        edges = photos.parent / "edges/photos" / path.name
        edges.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(96, 128, dtype=np.uint8) * 255).save(edges)
    given = ["segment", "project/", "--out", "masks", "--edges", "edges", "--quiet"]
    assert main([*given, "--top", "20", "--format", "labelstudio"]) == 0
    tasks = json.loads(Path("masks/labelstudio/tasks.json").read_text(encoding="utf-8"))
    names = [unquote(task["data"]["image"].partition("?d=")[2]) for task in tasks]
    assert sorted(names) == ["photos/0.png", "photos/1.png"]
    assert all((root / name).is_file() for name in names)


def test_cvat(segmented, capsys):
    pytest.importorskip("datumaro", reason="Datumaro is not installed")
    segmented("--format", "cvat", "--top", "20")
    Path("masks/cvat/images").symlink_to("../../photos")
    exec(documented_block("docs/recipes/cvat.md", "cvat recipe"), {})
    assert len(capsys.readouterr().out.splitlines()) == 2
