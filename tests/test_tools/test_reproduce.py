"""tools/reproduce.py: what experiments there are, and how their steps are run and reported."""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reproduced import ROOT, module, planned, settings, trainings
from trace_mm import cli
from trace_mm.commands.config_options import add_config_options
from trace_mm.engine.runner_config import read_config
from trace_mm.registry import MODELS

catalog, experiment, report, running = map(module, ("catalog", "experiment", "report", "running"))
parts, needs, edges = map(module, ("parts", "needs", "edges"))
panoptic = module("panoptic")
Setting, Step, Row, Reading = (
    experiment.Setting,
    experiment.Step,
    experiment.Row,
    experiment.Reading,
)

OF_MMDET = ("mask2former", "mask-rcnn_trace-tiny", "cascade-mask-rcnn")
"""How configs begin that only MMDetection can read."""

PLANS = [(name, mini) for mini in (True, False) for name in catalog.names(mini)]


def run(*arguments, folder=ROOT):
    command = [sys.executable, str(ROOT / "tools/reproduce.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_every_experiment_is_listed_in_a_line():
    done = run("--list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(catalog.EXPERIMENTS)
    for name in ("Table 1a", "Table 2", "Table 3", "Table 12", "Figure 7", "Figure 14", "App. E.1"):
        assert sum(line.startswith(f"{name} ") for line in lines) == 1
    page = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")
    assert f"all {len(lines)}, a line each" in page
    assert f"runs all {len(catalog.names(mini=True))} on two scenes" in page


def test_names_as_people_write_them():
    found = [catalog.find(name) for name in ("1a", "Table 1a", "tab. 1a", "Figure 7", "fig7", "F7")]
    assert found == ["1a", "1a", "1a", "f7", "f7", "f7"]
    assert {catalog.find(name) for name in ("e1", "App. E.1", "Appendix E1", "E.1")} == {"e1"}
    with pytest.raises(ValueError, match="Table 99"):
        catalog.find("Table 99")


@pytest.mark.parametrize(("name", "mini"), PLANS)
def test_steps_are_commands_that_there_are(name, mini, tmp_path):
    """Options are known, and settings of configs have an effect."""
    one = planned(name, tmp_path, mini)
    assert one.steps and one.rows and set().union(*(row.ours for row in one.rows)) <= {*one.columns}
    assert bool(one.needs) != mini
    for step in one.steps:
        first, *rest = step.command
        if first == "python":
            assert (ROOT / rest[0]).is_file(), step.command
            continue
        options = cli._build_parser().parse_args(rest)
        if hasattr(options, "cfg_options") and not options.config.startswith(OF_MMDET):
            read_config(options.config, options.cfg_options)


def test_one_name_stands_for_one_command(tmp_path):
    """Experiments share steps, so that the same name must be the same command everywhere."""
    for mini in (True, False):
        known: dict[str, tuple[str, ...]] = {}
        for name in catalog.names(mini):
            for step in planned(name, tmp_path, mini).steps:
                assert known.setdefault(step.name, step.command) == step.command, step.name


def write(path, text):
    """A step that writes a file."""
    code = f"open({str(path)!r}, 'a').write({text!r}); print('said', {text!r})"
    return Step("write", ("python", "-c", code), path)


def test_a_step_is_run_once_for_each_command(tmp_path):
    out, setting = tmp_path / "out.txt", Setting(tmp_path)
    running.run_steps([write(out, "a")], setting)
    running.run_steps([write(out, "a")], setting)
    assert out.read_text() == "a"
    record = json.loads((tmp_path / "steps/write.json").read_text())
    assert record["seconds"] > 0 and record["peak_memory_bytes"] > 10**6
    assert (tmp_path / "steps/write.log").read_text() == "said a\n"
    running.run_steps([write(out, "b")], setting)
    assert out.read_text() == "ab"
    out.unlink()
    running.run_steps([write(out, "b")], setting)
    assert out.read_text() == "b"


def test_a_step_that_fails_says_why_and_keeps_those_before(tmp_path):
    first = write(tmp_path / "out.txt", "a")
    fails = Step("fails", ("python", "-c", "raise SystemExit('no such image')"), tmp_path)
    with pytest.raises(RuntimeError, match=r"step fails: exit status 1: python -c"):
        running.run_steps([first, fails], Setting(tmp_path))
    nothing = Step("nothing", ("python", "-c", "print('done')"), tmp_path / "missing")
    with pytest.raises(RuntimeError, match=r"it left no .*missing[\s\S]*done"):
        running.run_steps([first, nothing], Setting(tmp_path))
    assert (tmp_path / "steps/write.json").is_file()
    assert not (tmp_path / "steps/fails.json").exists()
    assert (tmp_path / "out.txt").read_text() == "a"


def test_the_papers_numbers_stand_beside_ours(tmp_path):
    (tmp_path / "scores.json").write_text('{"AP": 0.0795, "AR100": -1, "steps": {"hours": 2}}')
    ours = {
        "AP": Reading(tmp_path / "scores.json", "AP"),
        "AR100": Reading(tmp_path / "scores.json", "AR100"),
        "hours": Reading(tmp_path / "scores.json", "steps.hours", 1),
    }
    rows = (Row("MaskCut", {"AP": 3.0}, ours), Row("UnSAM", {"AP": 3.3, "AR100": 0.069}))
    one = experiment.Experiment(
        "masks", ("AP", "AR100", "hours"), rows, (), choices=("chosen",), pictures=()
    )
    head, first, second = report.table(one)
    assert head == ["", *(f"{name}, {who}" for name in one.columns for who in ("paper", "ours"))]
    assert first == ["MaskCut", "3.0", "8.0", "-", "-", "-", "2.0"]
    assert second == ["UnSAM", "3.3", "-", "0.069", "-", "-", "-"]
    markdown, record = report.write_report("1a", one, Setting(tmp_path, mini=True))
    assert "| MaskCut | 3.0 | 8.0 | - | - | - | 2.0 |" in markdown.read_text()
    content = json.loads(record.read_text())
    assert content["settings"]["mini"] and content["versions"]["torch"]
    assert content["rows"][0]["ours"]["AP"] == pytest.approx(7.95)
    assert content["hardware"]["processors"] >= 1


def test_what_is_missing_is_said_before_anything_is_run(tmp_path):
    done = run("1a", "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert f"missing  {tmp_path}/data/coco/val2014" in done.stderr
    assert "made by  python tools/dataset_converters/coco.py" in done.stderr
    assert not (tmp_path / "out").exists()
    done = run("1a", "--needs", "--data", tmp_path / "data")
    assert done.returncode == 0 and "6.5 GB; cocodataset.org" in done.stdout


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(ValueError, match=r"scores.json: no JSON"):
        Reading(tmp_path / "scores.json", "AP").value()
    assert Reading(Path(tmp_path / "none.json"), "AP").value() is None


def test_a_mini_run_as_a_user_starts_it(tmp_path):
    done = run("table", "--mini")
    assert done.returncode == 2 and "no such table" in done.stderr
    done = run("3", "--mini", "--images", 2, "--out", tmp_path, "--steps")
    assert done.returncode == 0 and done.stdout.startswith("python tools/dataset_converters/scenes")


def test_the_tool_is_started_from_any_folder(tmp_path):
    """Data and results are where the person who types means them, whatever steps are run in."""
    (tmp_path / "data/coco/val2014").mkdir(parents=True)
    done = run("3", "--needs", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"found    {tmp_path}/data/coco/val2014\n" in done.stdout
    done = run("13", "--mini", "--images", 2, "--out", "here", "--steps", folder=tmp_path)
    assert f"--out {tmp_path}/here/mini-2-200/scenes/test" in done.stdout, done.stderr
    done = run("13", "--mini", "--out", "../some/out", "--steps", folder=ROOT / "docs")
    assert "--out some/out/mini-40-200/scenes/test" in done.stdout
    done = run("3", "--needs", "--data", "../configs", folder=ROOT / "docs")
    assert "missing  configs/coco/val2014" in done.stdout


def test_data_in_the_project_is_found_from_any_folder(tmp_path, monkeypatch, capsys):
    """Paths within the project lead from its folder, not from that where the tool is started."""
    project = tmp_path / "project"
    (project / "data/coco/val2014").mkdir(parents=True)
    (project / "docs").mkdir()
    tool = importlib.import_module("reproduce")
    monkeypatch.setattr(tool, "ROOT", project)
    for folder, data in (("docs", "../data"), ("data", "."), (".", "data")):
        monkeypatch.chdir(project / folder)
        monkeypatch.setattr(sys, "argv", ["reproduce.py", "3", "--needs", "--data", data])
        assert tool.main() == 0
        said = capsys.readouterr().out
        assert "found    data/coco/val2014\n" in said and "missing  data/imagenet/train\n" in said


def test_numbers_are_divided_by_the_images_of_the_scores(tmp_path):
    scores, record = tmp_path / "scores.json", tmp_path / "record.json"
    record.write_text('{"seconds": 30}')
    reading = Reading(record, "seconds", 1000, over=scores)
    assert reading.value() is None
    scores.write_text('{"images": 60}')
    assert reading.value() == pytest.approx(500)
    scores.write_text('{"images": 0}')
    assert reading.value() is None
    scores.write_text("[")
    with pytest.raises(ValueError, match=r"scores\.json: no JSON"):
        reading.value()


@pytest.mark.parametrize("mini", [True, False])
@pytest.mark.parametrize("name", ["4", "11", "f7"])
def test_times_are_of_the_images_that_a_step_scored(name, mini, tmp_path):
    """Not of the number of scenes that a mini run would have."""
    one = planned(name, tmp_path, mini)
    (tmp_path / "steps").mkdir()
    (tmp_path / "scores").mkdir()
    for number, step in enumerate(one.steps, 1):
        if step.name.startswith("scores-"):
            (tmp_path / f"steps/{step.name}.json").write_text('{"seconds": 100}')
            step.makes.write_text(json.dumps({"images": number}))
    images = [step.name.startswith("scores-") and n for n, step in enumerate(one.steps, 1)]
    known = {100_000 / number for number in images if number}
    times = [row.ours["ms an image"].value() for row in one.rows]
    assert len(set(times)) == len(one.rows) and set(times) <= known


def test_the_papers_student_is_trained_once_for_all(tmp_path):
    """Where nothing is changed, no experiment has a training of its own."""
    found = {name: trainings(planned(name, tmp_path, False)) for name in catalog.names()}
    usual = f"train-trace_sd35-large_lora64_{needs.TRAINED_ON}"
    for name in ("1a", "3", "5", "6", "7", "8", "9", "12", "13", "f10", "e1"):
        assert usual in found[name], name
    assert [len(found[name]) for name in ("1a", "3", "7", "f10")] == [1, 1, 1, 1]
    assert {*found["9"]} == {usual, "train-decoder-u-net", "train-decoder-mask2former-style"}
    assert {*found["e1"]} == {usual, "train-prompts"}
    assert {*found["10"]} == {"train-labels-mu_sigma", "train-labels-mu"}
    assert len({step[2:] for step in found["5"].values()}) == 5  # a backbone each


def test_a_mini_run_trains_the_student_once(tmp_path):
    known = {}
    for name in catalog.names(mini=True):
        known |= trainings(planned(name, tmp_path, True))
    changed = ["decoder-u-net", "decoder-mask2former-style", "labels-mu", "labels-mu_sigma"]
    of_students = {step for step, command in known.items() if parts.MINI_TRAINING in command}
    assert of_students == {f"train-{name}" for name in ("student", *changed)}
    assert {*trainings(planned("7", tmp_path, True))} == {"train-student"}


@pytest.mark.parametrize("mini", [True, False])
def test_students_of_table_10_learn_by_the_scheme_of_their_row(mini, tmp_path):
    one = planned("10", tmp_path, mini)
    made = {str(step.makes): step.command for step in one.steps if step.name in trainings(one)}
    scored = {step.makes: step.command for step in one.steps if step.name.startswith("scores-")}
    assert len(one.rows) == (4 if mini else 3)
    for row in one.rows[1:]:
        for column in ("AP", "ODS"):
            command = scored[row.ours[column].file]
            training = made[command[command.index("--edges-from") + 1]]
            options = cli._build_parser().parse_args(training[1:])
            model = read_config(options.config, options.cfg_options).model
            assert model.pseudo_label == row.label


def test_the_time_of_training_is_that_of_the_student_in_use(tmp_path):
    for mini in (True, False):
        one = planned("7", tmp_path, mini)
        (training,) = trainings(one)
        row = next(row for row in one.rows if row.label == "train")
        assert row.ours["hours"].file == tmp_path / f"steps/{training}.json"
        (made,) = (step.makes for step in one.steps if step.name == training)
        scored = [step.command for step in one.steps if "--edges-from" in step.command]
        assert scored and all(str(made) in command for command in scored)


def test_iterations_are_those_of_the_configs():
    for data in needs.STUDENT_DATA:
        cfg = read_config(f"trace_sd35-large_lora64_{data}", {})
        assert cfg.train_cfg.max_iters == parts.ITERATIONS


@pytest.mark.parametrize("name", ["2", "5", "9", "e1"])
def test_all_that_trainings_read_is_needed(name, tmp_path):
    """Also the photos that students are scored on during training, wherever the data is."""
    one = planned(name, tmp_path, False)
    read = {tmp_path / "data" / need.folder for need in one.needs}
    for command in trainings(one).values():
        if "--fill-cache" in command:
            options = settings(command)
            assert {Path(options["data_root"]), Path(options["val_root"])} <= read
    if name == "2":
        assert any("train2014" in need.holds for need in one.needs)


@pytest.mark.parametrize("kind", ["UNetDecoder", "Mask2FormerStyleDecoder"])
@pytest.mark.parametrize("mini", [True, False])
def test_decoders_of_the_ablation_can_be_built(kind, mini, tmp_path):
    """Nothing is left of the arguments of the decoder that they replace."""
    found = [
        command
        for command in trainings(planned("9", tmp_path, mini)).values()
        if settings(command).get("model.decoder.type") == kind
    ]
    (command,) = found
    options = cli._build_parser().parse_args(command[1:])
    cfg = read_config(options.config, options.cfg_options)
    assert cfg.model.decoder.type == kind
    assert type(MODELS.build(cfg.model.decoder)).__name__ == kind


def test_the_decoder_that_the_readme_names_can_be_built():
    text = (ROOT / "configs/trace/README.md").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if "decoder.type=UNetDecoder" in line)
    command = line.split("`")[1].split()
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    options = parser.parse_args(command[command.index("--cfg-options") :]).cfg_options
    cfg = read_config(command[2], options)
    assert type(MODELS.build(cfg.model.decoder)).__name__ == "UNetDecoder"


@pytest.mark.parametrize("name", ["1a", "2", "5", "7", "9", "10", "13", "14", "15"])
def test_students_of_full_runs_have_their_own_threshold(name, tmp_path):
    """They are not calibrated, as the shipped ones are that presets are for."""
    one = planned(name, tmp_path, False)
    seen = 0
    for step in one.steps:
        command = step.command
        if "--edges-from" not in command or "edges" in step.name:
            continue
        options, from_training = settings(command), command[command.index("--edges-from") + 1]
        given = [value for key, value in options.items() if key.endswith(".threshold")]
        trained = from_training.endswith(".pth")
        assert given == ([str(parts.UNCALIBRATED)] if trained else []), command
        seen += trained
    assert seen
    for step in planned(name, tmp_path, True).steps:
        trained = any(word.endswith(".pth") for word in step.command)
        if parts.MINI_TEACHER not in step.command and not trained:
            assert not any(key.endswith("threshold") for key in settings(step.command))


def test_detectors_of_figure_10_share_the_students_threshold(tmp_path):
    for folder in edges.RIVALS:
        (tmp_path / "data/edges" / folder.lower() / "voc2012").mkdir(parents=True)
    steps = {step.name: step.command for step in planned("f10", tmp_path, False).steps}
    swaps = {name: settings(command) for name, command in steps.items() if "scores-swap" in name}
    assert len(swaps) == 7
    assert "model.refiner.threshold" not in swaps.pop("scores-swap-none-voc2012")
    given = {options["model.refiner.threshold"] for options in swaps.values()}
    assert given == {str(parts.UNCALIBRATED)}


@pytest.mark.parametrize("backbone", ["sd15", "sd21", "sdxl", "sd35-large"])
def test_histograms_find_the_config_of_any_size(backbone, tmp_path):
    for name, data in (("f7", ["voc"]), ("f14", ["voc", "coco", "coco"])):
        one = planned(name, tmp_path, False, backbone=backbone)
        drawn = [step.command for step in one.steps if "timestep_histogram" in step.command[1]]
        assert len(drawn) == len(data) == len(one.pictures)
        for command, where in zip(drawn, data, strict=True):
            assert backbone in Path(command[2]).stem.split("_")
            cfg = read_config(command[2], settings(command))
            assert where in cfg.test_dataloader.dataset.data_root.lower()
            assert "train" in cfg.test_dataloader.dataset.ann_file
            assert Path(command[command.index("--numbers") + 1]).suffix == ".json"


def test_a_histogram_of_a_backbone_without_config(tmp_path):
    with pytest.raises(ValueError, match=r"sd9: no config of configs/trace"):
        planned("f7", tmp_path, False, backbone="sd9")


def test_what_a_person_brings_is_named_in_one_place(tmp_path):
    assert edges.RIVALS == ("HED", "PiDiNet", "DiffusionEdge")
    assert {"title", "need", "trained_on", "schedules"} == {*vars(panoptic.DATA["voc2012"])}
    maps = [need.holds for need in planned("2", tmp_path, False).needs if "maps of" in need.name]
    assert {*maps} == {("semantic/mars",), ("semantic/dhr",)}
