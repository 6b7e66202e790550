"""``trace-mm panoptic``: what it writes, says and returns."""

import inspect

import numpy as np
import pytest
from PIL import Image

from tests.panoptic_data import contents, load, write_map, write_panoptic_data
from tests.touching_squares import SIZE, image_name, square_ids
from trace_mm.cli import main
from trace_mm.panoptic import PanopticClasses, PanopticLabeler

RESULTS = ["instances.json", "manifest.jsonl", "panoptic", "panoptic.json", "pictures", "semantic"]


@pytest.fixture
def data(tmp_path):
    return write_panoptic_data(tmp_path / "data", count=2)


def panoptic(data, out, *options, edges=True, classes="classes.json"):
    arguments = ["--images", data / "photos", "--semantic", data / "maps", "--out", out]
    arguments += ["--classes", data / classes if classes.endswith(".json") else classes]
    arguments += ["--edges", data / "edges"] if edges else []
    return main(["panoptic", *map(str, [*arguments, *options])])


def error_line(capsys):
    """The only line of the output that tells an error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("trace-mm: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


def test_maps_and_edges_in_a_panoptic_dataset_out(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert panoptic(data, out, "--batch-size", 2) == 0
    assert capsys.readouterr().out == (
        "things: square 4\nstuff: background 2\n"
        f"6 segments of 2 images, 0 images failed, 0 have no semantic map, 0 maps have no image: "
        f"{out}\n"
    )
    shown = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    assert shown == [*RESULTS, "summary.html"]


def test_shipped_classes_and_no_edges(data, tmp_path):
    out = tmp_path / "out"
    assert panoptic(data, out, "--no-edges", edges=False, classes="voc2012") == 0
    content = load(out, "panoptic")
    assert len(content["categories"]) == 21
    found = [annotation["segments_info"] for annotation in content["annotations"]]
    assert [[segment["category_id"] for segment in segments] for segments in found] == [[1, 21]] * 2


def test_a_model_finds_edges(data, tmp_path):
    config = tmp_path / "canny.py"
    config.write_text("model = dict(type='CannyDetector')")
    assert panoptic(data, tmp_path / "out", "--model", config, edges=False) == 0
    assert panoptic(data, tmp_path / "two", "--model", config, "--workers", 2, edges=False) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "two")
    info = load(tmp_path / "out", "panoptic")["info"]
    assert info["edges"]["model"] == "CannyDetector"


def test_every_argument_of_the_labeler_is_an_option(data, tmp_path):
    chosen = {"threshold": 0.4, "gap": 2.0, "radius": 3, "beta": 8.5, "steps": 16}
    chosen |= {"merge_iou": 0.6, "resolution": 32, "level": 0.4}
    chosen |= {"min_border": 0.5, "weak_share": 0.2, "join": 0.1, "join_reach": 0.01}
    chosen |= {"min_fragment": 20.0, "enclosed": 0.7, "min_area": 4.0, "within_class": False}
    assert {"preset", *chosen} == set(inspect.signature(PanopticLabeler).parameters)
    options = [
        text
        for name, value in chosen.items()
        if name != "within_class"
        for text in (f"--{name.replace('_', '-')}", value)
    ]
    options += ["--no-within-class", "--preset", "scenes"]
    assert panoptic(data, tmp_path / "out", *options) == 0
    labeler = load(tmp_path / "out", "panoptic")["info"]["labeler"]
    assert labeler == {"type": "PanopticLabeler", **chosen}


def test_failed_images_give_status_1(data, tmp_path, capsys):
    write_map(data / "maps", 1, np.full(SIZE, 9, dtype=np.uint8))
    assert panoptic(data, tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "1 images failed" in captured.out
    assert f"  {data / 'maps' / '000000000001.png'}: ids 9 mean no class" in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "1.5"], "threshold must be in"),
        (["--size", "64"], "--edges needs no model: --size has no effect"),
        (["--no-edges"], "--no-edges: --edges has no effect"),
        (["--annotations", "nowhere.json"], "nowhere.json: no such annotation file"),
        (
            ["--classes", "nowhere"],
            "nowhere: no such class file; names are coco, coco2017, cocostuff, coco",
        ),
    ],
)
def test_bad_options(data, tmp_path, capsys, options, message):
    assert panoptic(data, tmp_path / "out", *options) == 2
    assert message in error_line(capsys)
    assert not (tmp_path / "out" / "panoptic.json").exists()


@pytest.mark.parametrize("missing", ["maps", "photos", "edges", "classes.json"])
def test_missing_input(data, tmp_path, capsys, missing):
    (data / missing).rename(tmp_path / "elsewhere")
    assert panoptic(data, tmp_path / "out") == 2
    assert f"{data / missing}: no such" in error_line(capsys)


@pytest.mark.parametrize("option", ["--workers=-1", "--batch-size=0", "--steps=x", "--gap=x"])
def test_usage_errors(data, tmp_path, capsys, option):
    with pytest.raises(SystemExit, match="2"):
        panoptic(data, tmp_path / "out", option)
    assert option.partition("=")[0] in capsys.readouterr().err


def test_files_of_other_kinds_are_told(data, tmp_path, capsys):
    (data / "photos" / "list.txt").touch()
    (data / "maps" / "readme").touch()
    assert panoptic(data, tmp_path / "out") == 0
    errors = capsys.readouterr().err
    assert f"note: {data / 'photos'}: 1 file not named like images passed over (1 .txt)" in errors
    assert f"note: {data / 'maps'}: 1 file not named like maps passed over (1 without" in errors


def test_the_numbering_of_classes_is_told(data, tmp_path, capsys):
    for number in (1, 2):
        ids = np.asarray(Image.open(write_map(data / "maps", number))).astype(np.uint8)
        write_map(data / "maps", number, ids * 18)
    assert panoptic(data, tmp_path / "out", "--classes", "coco2017") == 2
    assert "--classes coco2017-own" in error_line(capsys)
    ids = np.asarray(Image.open(data / "maps" / f"{image_name(1)}.png")).copy()
    ids[0, :] = 95  # bridge, an id that only COCO's own numbering and COCO-Stuff's have
    ids[1, :] = 200  # rug-merged
    write_map(data / "maps", 1, ids)
    assert panoptic(data, tmp_path / "out", "--classes", "coco2017") == 0
    captured = capsys.readouterr()
    assert "ids are taken for coco2017-own (" in captured.err and "18 is dog" in captured.err
    assert "things: dog 4" in captured.out
    names = {
        entry["id"]: entry["name"] for entry in load(tmp_path / "out", "panoptic")["categories"]
    }
    annotations = load(tmp_path / "out", "instances")["annotations"]
    assert {names[entry["category_id"]] for entry in annotations} == {"dog"}


def test_maps_of_all_133_classes_give_stuff_that_is_scored(data, tmp_path, capsys):
    # 1 to 133 without a gap: person on grass, and sky above; COCO's own ids are 1, 193 and 187.
    names = PanopticClasses.from_file("coco2017").names
    grass, sky = (names.index(name) + 1 for name in ("grass-merged", "sky-other-merged"))
    for number in (1, 2):
        ids = np.where(square_ids(number) > 0, 1, grass).astype(np.uint8)
        ids[:3] = sky
        write_map(data / "maps", number, ids)
    out = tmp_path / "out"
    assert panoptic(data, out, classes="coco2017-contiguous") == 0
    assert "stuff: sky-other-merged 2, grass-merged 2" in capsys.readouterr().out
    content = load(out, "panoptic")
    assert sum(not category["isthing"] for category in content["categories"]) == 53
    for annotation in content["annotations"]:
        found = sorted(one["category_id"] for one in annotation["segments_info"])
        assert found == [1, 1, 187, 193]  # two persons that edges tell apart
    file = str(out / "panoptic.json")
    assert main(["score", file, file, "--out", str(tmp_path / "scores.json")]) == 0
    scores = load(tmp_path, "scores")
    assert (scores["PQ_st"], scores["PQ_th"]) == (100, 100)
