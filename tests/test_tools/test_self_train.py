"""Rounds of self-training: which commands they are, and that those that are done stay done."""

import json
import sys

import pytest

from tools import merge_masks, self_train

WRITES = """
import sys
from pathlib import Path
options = sys.argv[1:]
Path({log!r}).open("a").write(Path(sys.argv[0]).name + "\\n")
if {fails!r} and {fails!r} in sys.argv[0]:
    sys.exit(3)
if "--out" in options:
    target = Path(options[options.index("--out") + 1])
else:
    target = Path(options[options.index("--work-dir") + 1]) / "iter_5.pth"
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text("x")
"""


@pytest.fixture
def options(tmp_path):
    for name in ("first.pth", "masks.json"):
        (tmp_path / name).write_text(name)

    def parse(*more):
        arguments = ["config.py", tmp_path / "first.pth", "--images", "photos", "--labels"]
        arguments += [tmp_path / "masks.json", "--work-dir", tmp_path / "work", *more]
        return self_train.make_parser().parse_args([str(one) for one in arguments])

    return parse


def after(step, option):
    return step.arguments[step.arguments.index(option) + 1]


def test_a_round_goes_on_from_the_one_before(options, tmp_path):
    steps = self_train.plan(options("--rounds", "3", "--min-score", "0.7", "0.6"), 5)
    assert [step.tool for step in steps] == ["test.py", "merge_masks.py", "train.py"] * 3
    first, second, third = (steps[start : start + 3] for start in (0, 3, 6))
    work = tmp_path / "work"
    for number, (predict, merge, train) in enumerate((first, second, third), start=1):
        folder = work / f"round{number}"
        before = work / f"round{number - 1}"
        checkpoint = before / "iter_5.pth" if number > 1 else tmp_path / "first.pth"
        labels = before / "labels.json" if number > 1 else tmp_path / "masks.json"
        assert predict.arguments[:2] == ("config.py", str(checkpoint))
        assert {"images=photos", f"labels={labels}", "test_set=train"} <= set(predict.arguments)
        assert merge.arguments[:2] == (str(labels), str(folder / "predictions.json"))
        assert after(merge, "--out") == str(folder / "labels.json")
        assert after(merge, "--min-score") == ("0.7" if number == 1 else "0.6")
        wanted = {f"labels={folder / 'labels.json'}", f"load_from={checkpoint}", "--resume"}
        assert wanted <= set(train.arguments)
        assert train.result == folder / "iter_5.pth"


def test_commands_are_what_a_person_would_write(options):
    predict, merge, train = self_train.plan(options("--rounds", "1", "--amp"), 5)
    assert predict.command(1)[:2] == [sys.executable, str(self_train.TOOLS / "test.py")]
    assert "--nproc-per-node=8" in train.command(8) and "--amp" in train.arguments
    assert merge.command(8) == merge.command(1)
    merge_masks.make_parser().parse_args(list(merge.arguments))


def run(monkeypatch, folder, options, fails=""):
    """The rounds, with scripts in place of the tools that only write their results."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    log = folder / "log.txt"
    log.write_text("")
    for name in ("test.py", "merge_masks.py", "train.py"):
        (tools / name).write_text(WRITES.format(log=str(log), fails=fails))
    monkeypatch.setattr(self_train, "TOOLS", tools)
    try:
        self_train.run_steps(self_train.plan(options, 5), options)
    finally:
        called = log.read_text().split()
    return called


def test_what_is_done_is_not_done_again(monkeypatch, options, tmp_path):
    with pytest.raises(OSError, match=r"train\.py ended with status 3"):
        run(monkeypatch, tmp_path, options(), fails="train")
    assert run(monkeypatch, tmp_path, options()) == [
        "train.py", *("test.py", "merge_masks.py", "train.py"),
    ]  # fmt: skip
    assert run(monkeypatch, tmp_path, options()) == []
    assert len(run(monkeypatch, tmp_path, options("--rounds", "3"))) == 3


def test_other_settings_or_inputs_are_refused(monkeypatch, options, tmp_path):
    run(monkeypatch, tmp_path, options("--rounds", "1"))
    with pytest.raises(ValueError, match="work holds rounds of other settings"):
        run(monkeypatch, tmp_path, options("--rounds", "1", "--min-score", "0.9"))
    (tmp_path / "masks.json").write_text("changed since")
    with pytest.raises(ValueError, match="files that have changed"):
        run(monkeypatch, tmp_path, options("--rounds", "1"))
    steps = json.loads((tmp_path / "work" / "steps.json").read_text())["steps"]
    assert len(steps) == 3


@pytest.mark.parametrize("value", ["1.5", "nan", "x"])
def test_scores_out_of_range(options, value, capsys):
    with pytest.raises(SystemExit):
        options("--min-score", value)
    assert "must be a number from 0 to 1" in capsys.readouterr().err
