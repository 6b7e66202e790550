"""What rows of some experiments of tools/reproduce.py differ by, and what they share."""

import pytest

from tests.reproduced import module, planned, settings, trainings

parts, seeds = map(module, ("parts", "seeds"))


@pytest.mark.parametrize("name", ["1b", "f9"])
def test_so_do_masks_and_seeds_by_their_edges(name, tmp_path):
    """Segments of edges alone have no such setting."""
    seen = 0
    for step in planned(name, tmp_path, False).steps:
        command = step.command
        if "--model" in command and "segments" not in command:
            assert command[command.index("--model") + 1].endswith(".pth")
            assert command[command.index("--threshold") + 1] == str(parts.UNCALIBRATED)
            seen += 1
    assert seen >= 2
    for step in planned(name, tmp_path, True).steps:
        assert "--threshold" not in step.command


def test_detectors_of_table_1b_differ_by_the_masks_they_learn(tmp_path):
    found = trainings(planned("1b", tmp_path, False))
    first = {key: settings(found[key]) for key in found if key.startswith("train-detector")}
    assert len(first) == 4
    labels = {options.pop("labels") for options in first.values()}
    assert len(labels) == 4 and len({str(options) for options in first.values()}) == 1
    rounds = [command for key, command in found.items() if key.startswith("train-self")]
    made = {str(step.makes) for step in planned("1b", tmp_path, False).steps}
    assert {command[command.index("--labels") + 1] for command in rounds} == labels <= made
    assert {command[3] for command in rounds} <= made


def test_boxes_of_rivals_are_read_where_there_are_any(tmp_path):
    assert seeds.RIVALS == ("Ferret", "APE")
    boxes = tmp_path / "data/boxes/ape_coco2017.json"
    boxes.parent.mkdir(parents=True)
    boxes.write_text("[]")
    one = planned("f9", tmp_path, False)
    given = [step.command for step in one.steps if "--boxes" in step.command]
    assert [command[command.index("--boxes") + 1] for command in given] == [str(boxes)]
    rows = {row.label: {*row.ours} for row in one.rows}
    assert not rows["Ferret + SAM"] and {*rows["APE + SAM"]} < {*rows["DHR + TRACE + SAM"]}


@pytest.mark.parametrize("name", ["14", "15"])
def test_limits_are_read_with_and_without_tiles(name, tmp_path):
    for mini in (True, False):
        steps = {step.makes: step.command for step in planned(name, tmp_path, mini).steps}
        for row in planned(name, tmp_path, mini).rows:
            for reading in row.ours.values():
                options = settings(steps[reading.file])
                assert ("model.edges.object_size" in options) == row.label.endswith("tiles")
                assert ("model.refiner" in options) == ("TRACE" not in row.label)
