"""Commands that make and score panoptic ground truth."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_panoptic import write_panoptic
from trace_mm.files.palette import semantic_png
from trace_mm.files.panoptic_file import read_panoptic_file

TOOLS = Path(__file__).parents[2] / "tools"
MODULES = ("voc2012_panoptic", "coco_panoptic", "panoptic_scores")
IDS, LABELS = np.array([[1, 1, 2, 3]]), {1: 1, 2: 1, 3: 7}


@pytest.fixture
def run(monkeypatch):
    """Run a command by name."""
    for folder in ("dataset_converters", "analysis_tools"):
        monkeypatch.syspath_prepend(str(TOOLS / folder))

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        importlib.import_module(name).main()

    yield call
    for name in MODULES:
        sys.modules.pop(name, None)


def test_voc(run, tmp_path, capsys):
    root = tmp_path / "VOC2012"
    for kind, values in (
        ("SegmentationObject", [0, 1, 2, 255]),
        ("SegmentationClass", [0, 5, 5, 255]),
    ):
        (root / kind).mkdir(parents=True)
        data = semantic_png(np.array([values], dtype=np.uint8))
        (root / kind / "2007_000001.png").write_bytes(data)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000001\n")
    run("voc2012_panoptic", "--data-root", root, "--out", tmp_path / "out")
    assert "1 images, 2 things, 1 stuff segments, 0 crowds" in capsys.readouterr().out
    segments = read_panoptic_file(tmp_path / "out" / "panoptic.json")["annotations"][0]
    assert [one["category_id"] for one in segments["segments_info"]] == [5, 5, 21]


def test_coco(run, tmp_path, capsys):
    source = write_panoptic(tmp_path / "source", {"a": (IDS, LABELS), "b": (IDS, LABELS)})
    (tmp_path / "list.txt").write_text("b\n")
    out = tmp_path / "out"
    run(
        "coco_panoptic",
        *("--annotations", source, "--panoptic", source.parent / "panoptic", "--out", out),
        *("--images", tmp_path / "list.txt", "--instances", "--semantic"),
    )
    assert "1 images, 2 things, 1 stuff segments, 0 crowds" in capsys.readouterr().out
    assert {str(path.relative_to(out)) for path in out.rglob("*.*")} == {
        "panoptic.json", "panoptic/b.png", "instances.json", "semantic/b.png",
    }  # fmt: skip


def test_names_with_spaces_stand_in_a_list(run, tmp_path, capsys):
    stems = ("my photo", "my", "photo", "d")
    source = write_panoptic(tmp_path / "source", dict.fromkeys(stems, (IDS, LABELS)))
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfmy photo.jpg\r\n\r\n13 \n")
    places = ["--annotations", source, "--panoptic", source.parent / "panoptic"]
    run("coco_panoptic", *places, "--out", tmp_path / "out", "--images", tmp_path / "list.txt")
    assert sorted(path.stem for path in (tmp_path / "out/panoptic").iterdir()) == ["d", "my photo"]
    (tmp_path / "list.txt").write_text("my photo\nmy photos\n")
    with pytest.raises(ValueError, match=r"1 images are not annotated: \['my photos'\]"):
        run("coco_panoptic", *places, "--out", tmp_path / "out", "--images", tmp_path / "list.txt")


def test_scores(run, tmp_path, capsys):
    truth = write_panoptic(tmp_path / "true", {"a": (IDS, LABELS)})
    grown = np.array([[1, 1, 2, 2]])  # one cat over the grass: an IoU of one half is no match
    found = write_panoptic(tmp_path / "found", {"a": (grown, LABELS)})
    run("panoptic_scores", truth, found, "--by-category", "--out", tmp_path / "scores.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["all", "25.00", "50.00", "25.00", "2"]
    assert lines[-1].split() == ["grass", "0.00", "0.00", "0.00"]
    assert json.loads((tmp_path / "scores.json").read_text())["PQ_st"] == 0


def test_the_folder_of_maps_may_be_called_like_the_file(run, tmp_path, capsys):
    truth = write_panoptic(tmp_path / "true", {"a": (IDS, LABELS)})
    renamed = truth.rename(truth.parent / "val2017.json")
    (truth.parent / "panoptic").rename(truth.parent / "val2017")
    run("panoptic_scores", renamed, renamed, "--truth-folder", truth.parent / "val2017")
    assert "100.00" in capsys.readouterr().out
    (truth.parent / "val2017").rename(truth.parent / "elsewhere")
    with pytest.raises(FileNotFoundError, match="name their folder"):
        run("panoptic_scores", renamed, renamed)
