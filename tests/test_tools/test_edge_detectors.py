"""Table 6 on drawn photos: edges are written once, calibrated and scored, all by one command."""

import json
import os
import sys

import numpy as np
import pytest

from tests.documented_commands import ROOT
from tests.drawn_photos import write_photos
from trace_mm.files.edge_maps import EdgeMaps


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools/benchmark"))
    write_photos(tmp_path / "data")
    (tmp_path / "list.csv").write_text("file,licence\ntwo.jpg,CC BY\nelsewhere.jpg,CC BY\n")
    return tmp_path


def run(monkeypatch, data, *arguments):
    import tools.benchmark.edge_detectors as tool

    words = ["edge_detectors.py", data / "data", "--out", data / "out", "--detectors", *arguments]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    tool.main()
    return json.loads((data / "out/scores.json").read_text())


def test_table(data, monkeypatch, capsys):
    both = ("sobel", f"other={data}/data/maps", "--calibrate-on", data / "list.csv")
    found = run(monkeypatch, data, *both)
    assert found["images"] == {
        "test": ["one.jpg", "three.jpg"],
        "validation": ["two.jpg"],
        "all": ["one.jpg", "two.jpg", "three.jpg"],
    }
    for part, rows in found["scores"].items():
        assert list(rows) == ["sobel", "other"], part
        assert rows["other"]["ODS"] > 0.9
        assert 0 <= rows["other"]["calibrated error"] < rows["other"]["error"]
    shown = capsys.readouterr().out
    assert shown.strip() == (data / "out/scores.md").read_text().strip()
    assert f"| other | {found['scores']['test']['other']['ODS']:.3f} |" in shown
    for name in ("sobel", "other"):
        maps = EdgeMaps(data / "out/calibrated" / name)
        scale, _ = found["calibration"][name]
        assert scale > 0
        for photo in ("one", "two", "three"):
            assert maps.read(f"{photo}.jpg", (60, 80)).max() <= 1
    _is_resumed(data, monkeypatch, both, found)


def _is_resumed(data, monkeypatch, arguments, before):
    """Edges that are there are kept, one that is missing is made again: the scores are equal."""
    files = sorted((data / "out/sobel/npz").iterdir())
    assert [path.stem for path in files] == ["one", "three", "two"]
    files[0].unlink()
    os.utime(files[1], (1, 1))
    assert run(monkeypatch, data, *arguments) == before
    assert files[0].exists() and files[1].stat().st_mtime == 1


def test_without_calibration_all_photos_are_a_test(data, monkeypatch):
    (data / "out").mkdir()
    np.save(data / "data/maps/two.npy", np.zeros((60, 80)))  # beside two.png, which comes first
    found = run(monkeypatch, data, f"other={data}/data/maps")
    assert list(found["scores"]) == ["all"] and found["calibration"] == {"other": None}
    assert "calibrated error" not in found["scores"]["all"]["other"]
    assert not (data / "out/calibrated").exists()


@pytest.mark.parametrize("kind", ["list.txt", "data/instances.json"])
def test_lists_of_photos(data, kind):
    import tools.benchmark.edge_detectors as tool

    (data / "list.txt").write_text("one.jpg\n\n two.jpg\nthree.jpg\n")
    assert tool.listed_names(data / kind) == ["one.jpg", "two.jpg", "three.jpg"]


def test_errors(data, monkeypatch):
    maps = data / "data/maps"
    for wrong, message in [
        (("hed",), "sobel, canny, student, teacher or NAME=FOLDER, got 'hed'"),
        (("hed=",), "got 'hed='"),
        (("sobel", f"sobel={maps}"), "two detectors are called 'sobel'"),
        ((f"calibrated={maps}",), "cannot be called 'calibrated'"),
        ((f"a/b={maps}",), "cannot be called 'a/b'"),
        ((f"a={maps}", "--calibrate-on", data / "none.txt"), "none.txt"),
        ((f"a={maps}", "--calibrate-on", data / "data/instances.json"), "names all of the 3"),
        ((f"a={data}/nowhere",), "nowhere: no such folder"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            run(monkeypatch, data, *wrong)
    (data / "other.csv").write_text("name\none.jpg\n")
    with pytest.raises(ValueError, match=r"other\.csv: has no column file or file_name"):
        run(monkeypatch, data, f"a={maps}", "--calibrate-on", data / "other.csv")
    (data / "other.csv").write_text("file\nelsewhere.jpg\n")
    with pytest.raises(ValueError, match="names none of the 3 photos"):
        run(monkeypatch, data, f"a={maps}", "--calibrate-on", data / "other.csv")
    (maps / "two.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"maps: no edge map of .*two\.jpg$"):
        run(monkeypatch, data, "sobel", f"a={maps}")
    assert not (data / "out").exists()  # known before anything was made
