"""``trace-mm semantic``: what it writes, says and returns, and how its maps are scored."""

import inspect
import json

import numpy as np
import pytest
from PIL import Image

from tests.panoptic_data import contents
from tests.touching_squares import SIZE, image_name, square_ids, write_edges, write_image
from trace_mm.cli import main
from trace_mm.refinement import ScorePropagation

COUNT = 3


def write_scores(folder, number, noise=0.6):
    """Noisy scores (3, 8, 10) of background and the two squares, each its own class."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    planes = (square_ids(number) == np.arange(3)[:, None, None]).astype(np.float32)
    tokens = planes.reshape(3, SIZE[0] // 4, 4, SIZE[1] // 4, 4).mean((2, 4))
    tokens += rng.normal(0, noise, tokens.shape)
    np.savez(folder / f"{image_name(number)}.npz", tokens.astype(np.float16))


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    (root / "truth").mkdir(parents=True)
    for number in range(1, COUNT + 1):
        write_image(root / "photos", number)
        write_edges(root / "edges", number)
        write_scores(root / "scores", number)
        Image.fromarray(square_ids(number)).save(root / "truth" / f"{image_name(number)}.png")
    (root / "names.json").write_text(json.dumps(["background", "left", "right"]))
    return root


def semantic(data, out, *options, edges=True):
    arguments = ["--images", data / "photos", "--scores", data / "scores", "--out", out]
    arguments += ["--edges", data / "edges"] if edges else []
    return main(["semantic", *map(str, [*arguments, *options])])


def miou(data, out, *options):
    file = out / "scores.json"
    arguments = [out / "semantic", data / "truth", "--semantic", data / "names.json"]
    assert main(["score", *map(str, [*arguments, "--out", file, *options])]) == 0
    return json.loads(file.read_text())["mIoU"]


def test_scores_and_edges_in_better_maps_out(data, tmp_path, capsys):
    before, after = tmp_path / "before", tmp_path / "after"
    assert semantic(data, before, "--no-edges", edges=False) == 0
    assert semantic(data, after) == 0
    assert capsys.readouterr().out.endswith(
        f"3 done, 0 were done before, 0 failed: {after}\n3 semantic maps of 3 classes, 0 images "
        f"failed, 0 have no score map, 0 score maps have no image: {after}\n"
    )
    written = [path for path in contents(after) if not path.startswith(".")]
    assert written == [
        "manifest.jsonl",
        *(f"semantic/{image_name(number)}.png" for number in (1, 2, 3)),
    ]
    assert miou(data, before) < 75
    assert miou(data, after) > 95


def test_workers_and_a_second_run_change_nothing(data, tmp_path, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    assert semantic(data, one) == 0
    assert semantic(data, two, "--workers", 2, "--batch-size", 2) == 0
    assert contents(one) == contents(two)
    capsys.readouterr()
    write_scores(data / "scores", 2, noise=0.1)
    assert semantic(data, one) == 0
    assert capsys.readouterr().out.startswith("1 done, 2 were done before, 0 failed")


def test_a_bad_score_map_fails_alone_and_is_named(data, tmp_path, capsys):
    (data / "scores" / f"{image_name(1)}.npz").write_bytes(b"damaged")
    (data / "scores" / f"{image_name(2)}.npz").unlink()
    assert semantic(data, tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "1 semantic maps of 3 classes, 1 images failed, 1 have no score map" in captured.out
    assert f"{image_name(1)}.npz: not a readable array of scores" in captured.err


def test_numbers_of_classes_that_differ_are_told(data, tmp_path, capsys):
    np.savez(data / "scores" / f"{image_name(1)}.npz", np.zeros((2, 8, 10), np.float32))
    assert semantic(data, tmp_path / "out") == 0
    assert "numbers of classes differ, so that ids may: 2 in 1 images, 3 in 2 images" in (
        capsys.readouterr().out
    )


def test_background_by_a_threshold_shifts_ids(data, tmp_path):
    out = tmp_path / "out"
    assert semantic(data, out, "--background", 99) == 0
    with Image.open(out / "semantic" / f"{image_name(1)}.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [0]


def test_many_classes_need_16_bits(data, tmp_path):
    for number in range(1, COUNT + 1):
        scores = np.zeros((300, 8, 10), np.float32)
        scores[299] = 1
        np.savez(data / "scores" / f"{image_name(number)}.npz", scores)
    assert semantic(data, tmp_path / "out", "--no-edges", edges=False) == 0
    with Image.open(tmp_path / "out" / "semantic" / f"{image_name(1)}.png") as image:
        assert np.unique(np.asarray(image)).tolist() == [299]


def test_every_argument_of_the_refiner_is_an_option(data, tmp_path):
    names = [name for name in inspect.signature(ScorePropagation).parameters if name != "preset"]
    values = {"radius": 4, "steps": 8, "resolution": 64, "background": 0.5}
    options = [
        text
        for name in names
        for text in (f"--{name.replace('_', '-')}", str(values.get(name, 0.5)))
    ]
    out = tmp_path / "out"
    assert semantic(data, out, "--preset", "paper", *options) == 0
    first = json.loads((out / "manifest.jsonl").read_text().splitlines()[0])
    told = first["settings"]["refiner"]
    assert told == {"type": "ScorePropagation", **{n: values.get(n, 0.5) for n in names}}


@pytest.mark.parametrize(
    ("options", "edges", "message"),
    [
        (["--no-edges"], True, "--no-edges: --edges has no effect"),
        (["--steps", "-1"], True, "steps must be in"),
    ],
)
def test_options_that_make_no_sense_are_refused(data, tmp_path, capsys, options, edges, message):
    assert semantic(data, tmp_path / "out", *options, edges=edges) == 2
    assert message in capsys.readouterr().err


def test_missing_maps_are_an_error_but_with_partial(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert semantic(data, out) == 0
    whole = miou(data, out, "--workers", 2, "--by-category")
    assert whole == miou(data, out)
    (out / "semantic" / f"{image_name(3)}.png").unlink()
    arguments = ["score", str(out / "semantic"), str(data / "truth"), "--semantic"]
    assert main([*arguments, str(data / "names.json")]) == 2
    assert f"no semantic map of {image_name(3)}; 1 of 3" in capsys.readouterr().err
    assert main([*arguments, str(data / "names.json"), "--partial"]) == 0
    assert main([*arguments, "voc"]) == 2
    assert "protocol must be one of voc21" in capsys.readouterr().err
