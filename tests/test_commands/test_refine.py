"""``trace-mm refine``: what it writes, says and returns."""

import inspect
import json

import pytest
from PIL import Image

from tests import peer_masks
from tests.touching_squares import change_json, image_name, source_masks, square_ids, write_data
from trace_mm.cli import main
from trace_mm.refinement import BoundaryGuidedPropagation


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", count=2)


def refine(data, out, *options, masks="masks.json", edges=True):
    arguments = ["--masks", data / masks, "--images", data / "photos", "--out", out]
    arguments += ["--edges", data / "edges"] if edges else []
    return main(["refine", *map(str, [*arguments, *options])])


def error_line(capsys):
    """The only line of the output that tells an error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("trace-mm: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


def test_masks_and_edges_in_coco_instances_out(data, tmp_path, capsys):
    out = tmp_path / "refined.json"
    assert refine(data, out, "--show-dir", tmp_path / "pictures", "--batch-size", 2) == 0
    assert capsys.readouterr().out == (
        f"4 masks of 2 images, 0 images failed, 0 bad masks or records left out: {out}\n"
        "note: the masks have no scores of their own, so all have 1 (--scores outline: by the "
        "edges)\n"
    )
    assert len(json.loads(out.read_text())["annotations"]) == 4
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_every_argument_of_the_refiner_is_an_option(data, tmp_path):
    chosen = {"threshold": 0.4, "radius": 3, "beta": 8.5, "steps": 16, "merge_iou": 0.6}
    chosen |= {"resolution": 32, "level": 0.4, "min_probability": 0.1, "min_fragment": 20}
    chosen |= {"small_fragment": 90, "small_evidence": 0.8, "min_enclosure": 0.4}
    chosen |= {"min_border": 0.5, "weak_share": 0.2, "min_gain": 0.1}
    chosen |= {"preset": "scenes", "scores": "outline"}
    given = {*chosen, "split_parts"}
    assert given == set(inspect.signature(BoundaryGuidedPropagation).parameters)
    options = [
        text for name, value in chosen.items() for text in (f"--{name.replace('_', '-')}", value)
    ]
    out = tmp_path / "refined.json"
    assert refine(data, out, *options, "--split-parts") == 0
    refiner = json.loads(out.read_text())["info"]["refiner"]
    assert refiner == {"type": "BoundaryGuidedPropagation", "split_parts": True, **chosen}


def test_the_paper_preset(data, tmp_path):
    out = tmp_path / "refined.json"
    assert refine(data, out, "--preset", "paper", "--scores", "constant") == 0
    refiner = json.loads(out.read_text())["info"]["refiner"]
    assert refiner["preset"] == "paper" and refiner["resolution"] == "image"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "1.5"], "threshold must be in [0, 0.999], got 1.5"),
        (["--beta", "nan"], "beta must be in"),
        (["--resolution", "5"], "resolution must be in [8, 4096], got 5"),
        (["--format", "sam"], "sam"),
        (["--size", "64"], "--edges needs no model: --size has no effect"),
        (["--annotations", "nowhere.json"], "nowhere.json: no such annotation file"),
    ],
)
def test_bad_options(data, tmp_path, capsys, options, message):
    assert refine(data, tmp_path / "refined.json", *options) == 2
    assert message in error_line(capsys)
    assert not (tmp_path / "refined.json").exists()


@pytest.mark.parametrize("missing", ["masks.json", "photos", "edges"])
def test_missing_input(data, tmp_path, capsys, missing):
    (data / missing).rename(tmp_path / "elsewhere")
    assert refine(data, tmp_path / "refined.json") == 2
    assert f"{data / missing}: no such" in error_line(capsys)


@pytest.mark.parametrize("option", ["--workers=-1", "--batch-size=0", "--steps=x", "--level=x"])
def test_usage_errors(data, tmp_path, capsys, option):
    with pytest.raises(SystemExit) as stop:
        refine(data, tmp_path / "refined.json", option)
    assert stop.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_other_settings_need_overwrite(data, tmp_path, capsys):
    out = tmp_path / "refined.json"
    assert refine(data, out) == 0
    capsys.readouterr()
    assert refine(data, out, "--steps", 16) == 2
    assert "--overwrite to start anew" in error_line(capsys)
    assert refine(data, out, "--steps", 16, "--overwrite") == 0


def test_skip_bad(data, tmp_path, capsys):
    def edit(content):
        content["annotations"].append({"image_id": 1, "category_id": 1, "segmentation": 7})
        content["annotations"].append({**content["annotations"][0], "image_id": 77})

    change_json(data / "masks.json", edit)
    out = tmp_path / "refined.json"
    assert refine(data, out) == 2
    assert "--skip-bad" in error_line(capsys)
    assert refine(data, out, "--skip-bad") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("4 masks of 2 images, 0 images failed, 2 bad masks")
    manifest = (tmp_path / "refined.json.parts" / "manifest.jsonl").read_text()
    for told in (captured.err, manifest):
        assert "annotations[2]" in told
        assert "image id 77" in told


def test_pickles_are_read_if_allowed_only(data, tmp_path, capsys):
    masks = {image_name(n): (square_ids(n) > 0)[None] for n in (1, 2)}
    peer_masks.write_irn(data / "irn", masks)
    out = tmp_path / "refined.json"
    assert refine(data, out, masks="irn") == 2
    line = error_line(capsys)
    assert f"{image_name(1)}.npy" in line
    assert "may run code" in line
    assert "--allow-pickle" in line
    assert refine(data, out, "--allow-pickle", masks="irn") == 0
    assert capsys.readouterr().out.startswith("4 masks of 2 images")


def test_images_that_fail(data, tmp_path, capsys):
    (data / "edges" / f"{image_name(2)}.png").unlink()
    out = tmp_path / "refined.json"
    assert refine(data, out) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("2 masks of 1 images, 1 images failed")
    assert f"{image_name(2)}.png: no such edge map" in captured.err


def test_nothing_that_is_read_is_written_onto(data, tmp_path, capsys):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    out = tmp_path / "refined.json"
    masks, truth = data / "masks.json", data / "instances.json"
    for arguments in (
        (masks,),
        (truth, "--annotations", str(truth)),
        (out, "--show-dir", str(data / "edges")),
        (out, "--show-dir", str(data / "photos" / "pictures")),
        (out, "--show-dir", str(data)),
    ):
        assert refine(data, *arguments) == 2
        assert "which is read" in error_line(capsys)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_unwritable_output(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert refine(data, tmp_path / "file" / "refined.json") == 1
    assert "file" in error_line(capsys)


@pytest.mark.slow
def test_the_shipped_model(data, tmp_path):
    out = tmp_path / "refined.json"
    assert refine(data, out, "--device", "cpu", edges=False) == 0
    content = json.loads(out.read_text())
    assert "trace-tiny" in json.dumps(content["info"]["edges"])
    assert {entry["image_id"] for entry in content["annotations"]} == {1, 2}
    assert len(source_masks(2)) <= len(content["annotations"])


def test_files_of_other_kinds_are_told(data, tmp_path, capsys):
    (data / "photos" / "list.txt").touch()
    assert refine(data, tmp_path / "refined.json") == 0
    told = f"note: {data / 'photos'}: 1 file not named like images passed over (1 .txt)"
    assert told in capsys.readouterr().err


def test_scores_are_chosen(data, tmp_path, capsys):
    ones, by_edges = tmp_path / "ones.json", tmp_path / "edges.json"
    assert refine(data, ones) == 0
    assert "have no scores of their own" in capsys.readouterr().out
    assert refine(data, by_edges, "--scores", "outline") == 0
    assert "have no scores" not in capsys.readouterr().out
    assert {one["score"] for one in json.loads(ones.read_text())["annotations"]} == {1}
    assert json.loads(by_edges.read_text())["info"]["refiner"]["scores"] == "outline"


def test_each_note_is_said_once(data, tmp_path, capsys):
    """What is known before the work is said before it, the rest at the end."""
    ids = data / "ids"
    ids.mkdir()
    for number in (1, 2):
        Image.fromarray(square_ids(number)).save(ids / f"{image_name(number)}.png")
    (ids / "list.txt").touch()
    for quiet in (False, True):
        options = ["--overwrite", *(["--quiet"] if quiet else [])]
        assert refine(data, tmp_path / "refined.json", *options, masks="ids") == 0
        captured = capsys.readouterr()
        lines = [line for text in captured for line in text.splitlines() if "note: " in line]
        assert len(lines) == len(set(lines)) == (0 if quiet else 3)


def test_notes_of_reading_are_said_once(data, tmp_path, capsys):
    peer_masks.write_unsam(data / "unsam", source_masks(2), refined=False)
    for path in (data / "unsam").iterdir():
        change_json(path, lambda content: content["annotations"][0].update(iscrowd=1))
    assert refine(data, tmp_path / "refined.json", masks="unsam") == 0
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("are crowds (iscrowd 1)") == 1
