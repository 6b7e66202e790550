"""The table of tiles and adaptation on drawn nuclei, with students that see gradients."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.documented_commands import ROOT
from trace_mm.models import SobelDetector

SIDE, DIAMETER = 96, 14


class GradientStudent(SobelDetector):
    """Sobel's edges, by what is asked of a student; remembers how it was to read."""

    def __init__(self):
        super().__init__(sigma=1)
        self.size, self.backbone, self.read = 256, SimpleNamespace(token=4), []

    def predict(self, inputs, data_samples):
        self.read.append(self.tiling.of(inputs[0]))
        return self(inputs, data_samples, mode="predict")


@pytest.fixture
def folder(tmp_path):
    """Two images of discs, of which two touch."""
    for name, seed in (("one", 1), ("two", 2)):
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        for part in ("images", "masks"):
            (tmp_path / name / part).mkdir(parents=True)
        chance, number = np.random.default_rng(seed), 0
        drawn = np.zeros((SIDE, SIDE))
        for top in range(12, SIDE, 24):
            for left in range(12, SIDE, 24):
                # The first two of a row touch.
                y, x = top + chance.integers(-2, 3), left + (11 if left == 12 else 0)
                disc = np.hypot(rows - y, columns - x) < DIAMETER / 2
                brightness = 0.6 if left == 12 else 1.0
                drawn = np.where(disc & (drawn == 0), brightness, drawn)
                Image.fromarray(disc).save(tmp_path / name / "masks" / f"{number}.png")
                number += 1
        pixels = np.rint(drawn * 255).astype(np.uint8)
        Image.fromarray(np.repeat(pixels[..., None], 3, 2)).save(tmp_path / name / "images/a.png")
    return tmp_path


def run(monkeypatch, folder, *words):
    monkeypatch.syspath_prepend(str(ROOT / "tools/benchmark"))
    import tools.benchmark.small_objects as tool

    students = {}

    def build(name):
        return students.setdefault(name, GradientStudent())

    monkeypatch.setattr(tool, "build_student", build)
    out = folder.parent / "scores.json"
    tool.main([str(folder), "--out", str(out), *words])
    return json.loads(out.read_text()), students


def test_rows_are_read_as_they_say(folder, monkeypatch, capsys):
    table, students = run(
        monkeypatch, folder, "--adapted", "mine=file.pth", "--object-size", "6", "--set", "gap=1"
    )
    assert table["images"] == ["one", "two"]
    assert (table["labeler"]["gap"], table["labeler"]["min_fragment"]) == (1, 12)
    shipped = ["shipped, whole", "shipped, tiles auto", "shipped, tiles 6"]
    shipped += ["shipped, tiles true size"]
    names = ["no edges", "true edges", *shipped, "mine, whole", "mine, tiles auto"]
    assert list(table["scores"]) == names
    whole, auto, given, true_size = students["trace-tiny"].read[:4]
    assert whole == (None, None)
    assert given[0] == 64
    assert auto[0] is not None
    assert true_size[0] == pytest.approx(0.6 * DIAMETER * 256 / 24, abs=3)
    assert [read[0] for read in students["file.pth"].read[:2]] == [None, auto[0]]
    assert "shipped, tiles auto" in capsys.readouterr().out


def test_true_edges_part_nuclei_that_touch(folder, monkeypatch):
    scores = run(monkeypatch, folder)[0]["scores"]
    assert "ODS" not in scores["no edges"]
    assert scores["true edges"]["ODS"] > 0.95
    assert scores["true edges"]["PQ true ground"] > 0.9
    assert scores["no edges"]["PQ true ground"] < scores["true edges"]["PQ true ground"] - 0.1
    assert 0 < scores["shipped, whole"]["PQ otsu"] < 1


def test_fewer_images_and_pictures(folder, monkeypatch, tmp_path):
    show = tmp_path.parent / "pictures"
    table, _ = run(monkeypatch, folder, "--every", "2", "--show", str(show))
    assert table["images"] == ["one"]
    shown = np.asarray(Image.open(show / "1 shipped, whole.png"))
    assert shown.shape == (SIDE, 2 * SIDE, 3)
    with pytest.raises(ValueError, match="no image is left"):
        run(monkeypatch, folder, "--largest", "50")
