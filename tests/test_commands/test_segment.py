"""``trace-mm segment``: what it writes, says, opens and refuses."""

import json
import re
import webbrowser
from pathlib import Path

import pytest

from tests.drawn_photos import NAMES, write_photos
from trace_mm.cli import main


@pytest.fixture
def data(tmp_path):
    write_photos(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def segment(data, tmp_path):
    def call(*options, edges=True):
        given = ["--edges", data / "maps"] if edges else []
        words = ["segment", data / "images", "--out", tmp_path / "out", *given, *options]
        return main([str(word) for word in words])

    return call


def _complaint(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


def test_masks_of_a_folder(segment, tmp_path, capsys):
    assert segment("--top", 5) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"3 done, 0 were done before, 0 failed: {tmp_path / 'out'}"
    content = json.loads((tmp_path / "out/instances.json").read_text())
    count = len(content["annotations"])
    assert lines[1] == f"{count} masks of 3 photos" and 3 < count <= 15
    assert segment("--top", 5) == 0
    assert capsys.readouterr().out.startswith("0 done, 3 were done before")


def test_a_model_makes_the_edges(segment, sobel, tmp_path):
    assert segment("--model", sobel, "--tile", edges=False) == 2  # it has no tiles
    assert segment("--model", sobel, edges=False) == 0
    info = json.loads((tmp_path / "out/instances.json").read_text())["info"]
    assert "SobelDetector" in json.dumps(info["edges"])


@pytest.mark.parametrize("generator", ["maskcut", "tokencut", "promerge"])
def test_generators_work_on_a_backbone(segment, tmp_path, generator):
    options = ["--generator", generator, "--backbone", "trace-tiny", "--size", 64]
    assert segment(*options, edges=False) == 0
    content = json.loads((tmp_path / "out/instances.json").read_text())
    info = content["info"]
    assert content["annotations"]
    assert info["generator"]["method"] == generator and info["edges"] is None
    assert segment(*options, "--refine", "--overwrite") == 0
    info = json.loads((tmp_path / "out/instances.json").read_text())["info"]
    assert info["refiner"]["type"] == "BoundaryGuidedPropagation"


def test_formats(segment, tmp_path, capsys):
    assert segment("--format", "coco", "cvat", "png", "--photos", "none") == 0
    assert (tmp_path / "out/cvat/annotations.xml").is_file()
    assert len(list((tmp_path / "out/png/masks").iterdir())) == 3
    assert "note: png: " in capsys.readouterr().out  # masks that others cover


def test_results_inside_the_input_folder_are_no_photos(data, capsys):
    options = ["--edges", str(data / "maps"), "--out", str(data / "images"), "--format", "yolo"]
    for count in ("3 done", "0 done"):
        assert main(["segment", str(data / "images"), *options]) == 0
        assert capsys.readouterr().out.startswith(count)


def test_masks_below_a_score_are_left_out(segment, tmp_path, capsys):
    assert segment("--min-score", 1) == 0
    assert capsys.readouterr().out.splitlines()[1] == "0 masks of 3 photos, 3 photos have none"
    assert segment("--min-score", 0.1, "--overwrite") == 0
    content = json.loads((tmp_path / "out/instances.json").read_text())
    assert content["annotations"] and all(one["score"] >= 0.1 for one in content["annotations"])


def test_bad_photos_are_listed(segment, data, capsys):
    (data / "images/one.jpg").write_bytes(b"broken")
    assert segment() == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("2 done, 0 were done before, 1 failed")
    assert f"{data / 'images/one.jpg'}: not an image" in captured.err.splitlines()[-1]


def test_the_page_is_opened(segment, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert segment("--show") == 0
    assert opened == [(tmp_path / "out/index.html").resolve().as_uri()]
    assert "browser" not in capsys.readouterr().out


def test_without_a_browser_it_is_said_where_the_page_is(segment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert segment("--show") == 0
    page = Path(tmp_path / "out/index.html").resolve().as_uri()
    assert capsys.readouterr().out.splitlines()[-1] == f"there is no browser here: open {page}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--generator", "maskcut"], "--edges has no effect on maskcut without --refine"),
        (["--tile"], "--edges needs no model: --tile has no effect"),
        (["--format", "yolov"], "format must be one of .*yolo"),
        (["--image-extension", "jpg"], "no effect without shards"),
        (["--min-score", "2"], r"least score must lie in \[0, 1\], got 2"),
    ],
)
def test_options_without_an_effect_are_refused(segment, capsys, options, message):
    assert segment(*options) == 2
    assert re.search(message, _complaint(capsys))


@pytest.mark.parametrize("option", ["--tile", "--timestep=3", "--model=trace-tiny"])
def test_options_of_edges_are_refused_where_there_are_none(segment, capsys, option):
    assert segment("--generator", "tokencut", option, edges=False) == 2
    assert "has no effect on tokencut without --refine" in _complaint(capsys)


@pytest.mark.parametrize("option", [["--format", "yolo"], ["--show"], ["--root", "photos"]])
def test_what_shards_have_not(tmp_path, capsys, option):
    given = ["segment", "photos/{00..09}.tar", "--out", str(tmp_path / "out"), *option]
    assert main(given) == 2
    assert f"{option[0]} has no effect with shards" in _complaint(capsys)


@pytest.mark.parametrize("option", ["--min-score=x", "--top=0", "--generator=cutler"])
def test_usage_errors(segment, capsys, option):
    with pytest.raises(SystemExit) as stop:
        segment(option)
    assert stop.value.code == 2
    assert f"error: argument {option.partition('=')[0]}: " in capsys.readouterr().err


def test_names_of_photos(segment, tmp_path):
    assert segment() == 0
    images = json.loads((tmp_path / "out/instances.json").read_text())["images"]
    assert {image["file_name"] for image in images} == {f"{name}.jpg" for name in NAMES}
