"""tools/analysis_tools, run in this process on tiny models and small files."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import tiny_students
from trace_mm.datasets import SceneEdgeDataset
from trace_mm.models import SobelDetector, save_student

PROJECT = Path(__file__).parents[2]
CONFIG = """
custom_imports = dict(imports=["tests.tiny_students"])
model = {model}
test_dataloader = dict(
    dataset=dict(type="SceneEdgeDataset", seed=1, length=3, size=(32, 48)),
)
"""
TEACHER = 'dict(type="TraceTeacher", backbone=dict(pretrained="{folder}"), timesteps=[0, 300, 600])'
STUDENT = (
    'dict(type="TraceStudent", backbone=dict(pretrained="{folder}"), '
    'decoder=dict(type="TinyDecoder"), lora=dict(rank=2))'
)
TOOLS = (
    "attention_pca",
    "compare_edges",
    "emergence_data",
    "precision_recall",
    "score_curves",
    "timestep_histogram",
    "worst_images",
)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a tool by name and return the picture's size."""
    monkeypatch.syspath_prepend(str(PROJECT / "tools" / "analysis_tools"))

    def call(name, *arguments, out="figure.png"):
        path = tmp_path / out
        command = [name, *map(str, arguments), "--out", str(path)]
        monkeypatch.setattr(sys, "argv", command)
        importlib.import_module(name).main()
        with Image.open(path) as picture:
            return picture.size

    yield call
    for name in TOOLS:
        sys.modules.pop(name, None)


@pytest.fixture
def kept(monkeypatch):
    """What is plotted, by the plotting function's name."""
    calls = {}

    def keep(module, function):
        plot = getattr(importlib.import_module(module), function)

        def kept_plot(*arguments):
            calls[function] = arguments
            return plot(*arguments)

        monkeypatch.setattr(importlib.import_module(module), function, kept_plot)

    keep("trace_mm.visualization.score_plots", "plot_scores")
    keep("trace_mm.visualization.score_plots", "plot_timestep_histogram")
    keep("trace_mm.visualization.score_plots", "plot_precision_recall")
    keep("trace_mm.visualization.image_plots", "plot_attention")
    keep("trace_mm.visualization.image_plots", "plot_edge_comparison")
    return calls


def write_config(path, model, folder):
    path.write_text(CONFIG.format(model=model.format(folder=folder)))
    return path


def store(folder, **changes):
    scores = np.zeros((4, 2))
    scores[0], scores[1] = (1, 2), (4, 3)
    folder.mkdir()
    for number in range(3):
        content = {
            "scores": scores + number,
            "divergences": np.array(["kl", "js", "l2", "l1"]),
            "timesteps": np.array([0, 100, 200]),
            **changes,
        }
        np.savez(folder / f"{number:06d}.npz", **content)
    return folder


def test_scores_of_a_folder(kept, run, tmp_path):
    folder = store(tmp_path / "stored")
    run("score_curves", folder, "--divergences", "js", "kl", "--images", 2)
    timesteps, scores = kept["plot_scores"]
    assert timesteps == [100, 200]
    assert list(scores) == ["js", "kl"]
    assert scores["kl"].tolist() == [[1, 2], [2, 3]]
    run("timestep_histogram", folder, "--divergences", "kl", "js")
    chosen = {"kl": [200] * 3, "js": [100] * 3}
    assert kept["plot_timestep_histogram"] == ([100, 200], chosen)


def test_scores_of_a_config(kept, run, tmp_path, flow_folder):
    config = write_config(tmp_path / "teacher.py", TEACHER, flow_folder)
    run("score_curves", config, "--images", 2, "--divergences", "kl", "cosine")
    timesteps, scores = kept["plot_scores"]
    assert timesteps == [300, 600]
    run("timestep_histogram", config, "--images", 2, "--divergences", "kl")
    teacher = tiny_students.MODELS.build(
        {
            "type": "TraceTeacher",
            "backbone": {"pretrained": str(flow_folder)},
            "timesteps": [0, 300, 600],
        }
    )
    dataset = SceneEdgeDataset(seed=1, length=3, size=(32, 48))
    samples = teacher.predict([dataset[index]["inputs"] for index in range(2)])
    for row, sample in zip(scores["kl"], samples, strict=True):
        assert row == pytest.approx([sample.scores[300], sample.scores[600]], rel=1e-5)
    assert kept["plot_timestep_histogram"][1]["kl"] == [sample.timestep for sample in samples]


def test_scores_under_prompts(kept, run, tmp_path, sd15_folder):
    """An image is read under its own, by its name in the dataset."""
    config = write_config(tmp_path / "teacher.py", TEACHER, sd15_folder)
    prompts = tmp_path / "prompts.json"

    def scores(*texts):
        prompts.write_text(json.dumps({f"scene-1-{n:06d}": text for n, text in enumerate(texts)}))
        options = ["--cfg-options", f"model.backbone.prompts={prompts}"] if texts else []
        run("score_curves", config, "--images", 2, "--divergences", "kl", *options)
        return kept["plot_scores"][1]["kl"]

    plain, told = scores(), scores("", "a aa")
    assert told[0].tolist() == plain[0].tolist()
    assert told[1].tolist() != plain[1].tolist()
    with pytest.raises(ValueError, match="scene-1-000001 has no prompt"):
        scores("a aa")


def test_precision_and_recall(kept, run, tmp_path):
    def scores(value):
        curve = {"precision": [value, 0.9], "recall": [0.8, value]}
        return {"ods": value, "precision": 0.7, "recall": value, "curve": curve}

    (tmp_path / "sobel.json").write_text(json.dumps(scores(0.3)))
    rows = {"scores": {"at t=0": scores(0.4), "at t*": scores(0.5)}}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    many = tmp_path / "rows.json"
    run("precision_recall", tmp_path / "sobel.json", many, f"t = 0={many}#at t=0")
    (curves,) = kept["plot_precision_recall"]
    assert list(curves) == ["sobel", "at t=0", "at t*", "t = 0"]
    assert curves["t = 0"].best == (0.7, 0.4, 0.4)
    assert curves["sobel"].recall == [0.8, 0.3]
    (tmp_path / "other.json").write_text("{}")
    wrong = {
        tmp_path / "none.json": "no such file",
        tmp_path / "other.json": "no precision-recall curve",
        f"{many}#Canny": "no row 'Canny'",
        f"label={many}": "has 2 rows",
    }
    for argument, message in wrong.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            run("precision_recall", argument)


def test_attention(kept, run, tmp_path, flow_folder):
    config = write_config(tmp_path / "teacher.py", TEACHER, flow_folder)
    run("attention_pca", config, "--indices", 0, 2)
    (rows,) = kept["plot_attention"]
    assert [row.image.shape for row in rows] == [(32, 48, 3)] * 2
    assert rows[0].timesteps == [0, 300, 600]
    assert rows[0].chosen in (300, 600)
    assert len({colors.shape for row in rows for colors in row.colors}) == 1
    Image.fromarray(np.full((40, 20, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    run("attention_pca", config, tmp_path / "photo.png", "--timesteps", 200)
    (rows,) = kept["plot_attention"]
    assert (rows[0].image.shape, rows[0].timesteps, rows[0].chosen) == ((40, 20, 3), [200], None)


def test_teacher_and_student_side_by_side(kept, run, tmp_path, flow_folder):
    student = tiny_students.shake(tiny_students.build(flow_folder)).eval()
    checkpoint = save_student(student, tmp_path / "student.safetensors")
    config = write_config(tmp_path / "student.py", STUDENT, flow_folder)
    run("compare_edges", config, checkpoint, "--indices", 1)
    (row,), names = kept["plot_edge_comparison"]
    assert names == ("teacher", "student")
    image = tiny_students.torch.from_numpy(row.image.transpose(2, 0, 1).copy())
    np.testing.assert_allclose(row.after, student.predict([image])[0].pred_edges, atol=1e-5)
    assert not np.allclose(row.before, row.after)
    assert set(np.unique(row.truth)) == {0, 1}

    teacher = '{"type": "SobelDetector", "sigma": 1.0}'
    config.write_text(
        config.read_text()
        + f"train_dataloader = dict(dataset=dict(pseudo_edges=dict(teacher={teacher})))"
    )
    run("compare_edges", config, checkpoint, "--indices", 1)
    (row,), _ = kept["plot_edge_comparison"]
    sobel = SobelDetector(sigma=1.0)([image])[0].pred_edges
    np.testing.assert_allclose(row.before, sobel, atol=1e-6)


def test_folders_side_by_side(kept, run, tmp_path):
    for folder, value in (("images", 10), ("before", 51), ("after", 102)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            Image.fromarray(np.full((8, 9), value, np.uint8)).save(
                tmp_path / folder / f"{name}.png"
            )
    arguments = [
        x for name in ("images", "before", "after") for x in (f"--{name}", tmp_path / name)
    ]
    run("compare_edges", *arguments, "--names", "A", "B")
    rows, names = kept["plot_edge_comparison"]
    assert (len(rows), names) == (2, ("A", "B"))
    assert rows[0].before == pytest.approx(0.2)
    assert rows[1].after == pytest.approx(0.4)
    assert rows[0].truth is None
    (tmp_path / "after" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png: no such edge map"):
        run("compare_edges", *arguments)
    with pytest.raises(SystemExit):
        run("compare_edges", *arguments[:4])


def test_the_worst_images_come_first(kept, run, tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(model="None"))
    dataset = SceneEdgeDataset(seed=1, length=3, size=(32, 48))
    for folder in ("edges", "rival"):
        (tmp_path / folder).mkdir()
    for index in range(3):
        sample = dataset[index]["data_samples"]
        right = np.asarray(sample.gt_edges).any(0).astype(np.uint8) * 255
        wrong = np.roll(right, (9, 11), (0, 1))
        for folder, edges in (("edges", wrong if index == 1 else right), ("rival", right)):
            Image.fromarray(edges).save(tmp_path / folder / f"{sample.image_id}.png")
    run("worst_images", config, tmp_path / "edges", tmp_path / "rival", "--count", 2)
    rows, names = kept["plot_edge_comparison"]
    assert len(rows) == 2 and names == ("edges", "rival")
    assert not np.allclose(rows[0].before, rows[0].truth)
    np.testing.assert_allclose(rows[0].after, rows[0].truth)
    np.testing.assert_allclose(rows[1].before, rows[1].truth)
    lines = [line for line in capsys.readouterr().out.splitlines() if ": F " in line]
    assert float(lines[0].split()[-1]) < 0.6 < float(lines[1].split()[-1])


def test_wrong_input(run, tmp_path, flow_folder):
    with pytest.raises(FileNotFoundError, match="no such config"):
        run("score_curves", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \.npz files"):
        run("score_curves", tmp_path / "empty")
    stored = store(tmp_path / "stored")
    with pytest.raises(ValueError, match="not cosine"):
        run("timestep_histogram", stored, "--divergences", "cosine")
    with pytest.raises(ValueError, match="a figure ends in"):
        run("score_curves", stored, out="figure.jpg")
    with np.load(stored / "000001.npz") as content:
        others = {**content, "timesteps": np.array([0, 10, 20])}
    np.savez(stored / "000001.npz", **others)
    with pytest.raises(ValueError, match=r"000001\.npz: its scores are of other timesteps"):
        run("score_curves", stored)
    config = write_config(tmp_path / "student.py", STUDENT, flow_folder)
    for tool in ("score_curves", "attention_pca"):
        with pytest.raises(ValueError, match="TraceTeacher, got TraceStudent"):
            run(tool, config)
