"""Every mini run of tools/reproduce.py, on two scenes, from the first step to the table."""

import os

import pytest

from tests.reproduced import module, run_here

catalog, experiment, report, running = map(module, ("catalog", "experiment", "report", "running"))


QUICK = {"1a", "2", "6", "f14"}
"""Run always. TRACE_MM_EXPERIMENTS=rest runs the others, as CI does, and =all runs all."""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """One folder for all, since experiments share steps."""
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize("name", catalog.names(mini=True))
def test_a_mini_run_ends_in_numbers(name, work, monkeypatch):
    asked = os.environ.get("TRACE_MM_EXPERIMENTS", "quick")
    assert asked in ("quick", "rest", "all")
    if asked != "all" and (name in QUICK) != (asked == "quick"):
        pytest.skip(f"TRACE_MM_EXPERIMENTS is {asked}")
    monkeypatch.setattr(running, "_run", run_here)
    setting = experiment.Setting(work, work / "data", mini=True, images=2, iterations=4, size=64)
    one = catalog.EXPERIMENTS[name](setting)
    running.run_steps(one.steps, setting)
    found = [reading.value() for row in one.rows for reading in row.ours.values()]
    assert sum(value is not None for value in found) >= len(found) / 2
    assert all(picture.is_file() for picture in one.pictures)
    markdown, record = report.write_report(name, one, setting)
    assert len(report.table(one)) == 1 + len(one.rows)
    assert markdown.read_text().startswith("# ") and record.is_file()
