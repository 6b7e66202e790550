"""tools/benchmark/gpu.py: each part on the CPU with tiny models; how it keeps to its time."""

import gc
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tools/benchmark"


def run(*arguments):
    command = [sys.executable, str(FOLDER / "gpu.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_all_parts_run_with_tiny_models(tmp_path):
    ran = run("--tiny", "--budget", 6000, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out/gpu.json").read_text())
    steps = found["steps"]
    assert [step for step in steps if step["status"] == "failed"] == []
    assert ran.returncode == 0, ran.stdout + ran.stderr
    kinds = [step["kind"] for step in steps]
    assert kinds == sorted(kinds)  # checks first
    models = ("sd15", "sdxl", "pixart-alpha", "sd35-large", "flux-dev")
    names = {step["part"] for step in steps}
    assert names == {
        *("kernel", *(f"passes-{model}" for model in models)),
        *("distillation-sd35-large", "operations", "two-ranks", "libraries"),
    }
    assert {step["kind"] for step in steps if step["part"] == "kernel"} == {"check", "measure"}
    for step in steps:  # what is skipped for no reason is missing
        assert bool(step["reason"]) == (step["status"] == "skipped"), step
        assert bool(step["values"]) == (step["status"] == "passed"), step
    skipped = {step["step"] for step in steps if step["status"] == "skipped"}
    assert skipped <= {
        *("bitsandbytes, 8 bits", "bitsandbytes, 4 bits", "torchao, 8 bits"),
        *("CUDA graph of a pass", "torch.compile of blocks"),
    }
    assert found["machine"]["device"] == "cpu" and found["machine"]["torch"] == torch.__version__
    batches = {
        step["step"]: step["values"]["images"] for step in steps if "biggest" in step["step"]
    }
    assert list(batches.values()) == sorted(batches.values()) and batches["biggest batch in 80 GiB"]
    text = (tmp_path / "out/gpu.md").read_text()
    assert text.count("\n| kernel |") == sum(step["part"] == "kernel" for step in steps)
    assert "says nothing of speed" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_to_do(tmp_path):
    ran = run("--out", tmp_path)
    assert ran.returncode == 2
    assert "needs a GPU with CUDA; --tiny runs on the CPU" in ran.stderr


@pytest.fixture
def modules(monkeypatch):
    """The modules that hold parts and run them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    gc.freeze()  # as the tool does: garbage is collected after each step
    yield importlib.import_module("gpu_parts.part"), importlib.import_module("gpu_parts.running")
    gc.unfreeze()


def records(modules, steps, budget=60.0):
    part, running = modules

    class Own(part.Part):
        name = "own"

        def checks(self):
            return [part.Step(*step) for step in steps]

        def measures(self):
            return [part.Step("measure", lambda: {"value": 1})]

    run_of_part = running.PartRun(Own(part.Setting(torch.device("cpu"), Path("unused"))), budget)
    return [*run_of_part.run("check"), *run_of_part.run("measure")]


def fail():
    raise RuntimeError("first line\nwhat is wrong\n")


def test_a_failure_is_written_down_and_the_others_go_on(modules):
    def skip():
        raise modules[0].SkipError("not there")

    def differ():
        return modules[0].expect_close(torch.ones(2), torch.zeros(2), 0.1, 0.1)

    steps = [
        *(("fails", fail), ("is skipped", skip), ("differs", differ)),
        *(("passes", lambda: {"value": 2}), ("follows", lambda: {"value": 3}, "fails")),
    ]
    found = {one.step: (one.status, one.reason) for one in records(modules, steps)}
    assert found["fails"] == ("failed", "RuntimeError: what is wrong")
    assert found["is skipped"] == ("skipped", "not there")
    assert found["differs"][0] == "failed" and "differ by up to 1.00e+00" in found["differs"][1]
    assert found["passes"] == ("passed", "")
    assert found["follows"] == ("skipped", "'fails' did not pass")
    assert found["measure"] == ("passed", "")


def test_what_does_not_fit_into_the_time_is_skipped(modules):
    def sleep(seconds):
        time.sleep(seconds)
        return {"value": 1}

    def stubborn():
        try:
            time.sleep(3600)
        except Exception:
            return {"value": "it was not stopped"}

    steps = [
        ("short", lambda: sleep(0.2)),
        ("long", lambda: sleep(0.0), "short", 1000.0),
        ("endless", stubborn),
        ("late", lambda: sleep(0.0)),
    ]
    found = {one.step: (one.status, one.reason) for one in records(modules, steps, budget=3.0)}
    assert found["short"][0] == "passed"
    assert found["long"][0] == "skipped" and "reckoned are" in found["long"][1]
    assert found["endless"] == ("skipped", "stopped: did not fit into the part's 3 s")
    assert found["late"][0] == "skipped" and "does not fit" in found["late"][1]
    assert found["measure"][0] == "skipped"
