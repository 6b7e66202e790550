"""Table 1b in miniature with MMDetection: detectors learn from masks as they are, and refined."""

import pytest

from tests.reproduced import module, run_here

pytest.importorskip("mmcv.ops", reason="mmcv or its operations are not installed")
pytest.importorskip("mmdet", reason="mmdet is not installed")

detectors, experiment, running = map(module, ("detectors", "experiment", "running"))

pytestmark = pytest.mark.slow


def test_a_mini_run_trains_and_scores_detectors(tmp_path, monkeypatch):
    """All but rounds of self-training, which test_detector_tools.py runs."""
    monkeypatch.setattr(running, "_run", run_here)
    setting = experiment.Setting(tmp_path, tmp_path / "data", mini=True, images=3, iterations=2)
    one = detectors.table_1b(setting)
    steps = [step for step in one.steps if "self" not in step.name]
    assert len(one.steps) - len(steps) == 4
    running.run_steps(steps, setting)
    numbers = {row.label: [ours.value() for ours in row.ours.values()] for row in one.rows}
    assert len(numbers) == 6
    for label, found in numbers.items():
        assert all((value is None) == label.endswith("self-trained") for value in found), label
