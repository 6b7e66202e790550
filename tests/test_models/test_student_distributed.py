"""Two processes on the CPU train as one does."""

import json

import pytest
import torch
import torch.multiprocessing

from tests import student_workers
from trace_mm.models import read_student


@pytest.fixture(scope="module")
def results(flow_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(student_workers.run, (str(flow_folder), str(out)), nprocs=2)
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "case", "file"),
    [
        ("ddp", "plain", "ddp plain.safetensors"),
        ("ddp", "edges only", "ddp edges only.safetensors"),
        ("fsdp", "plain", "fsdp plain.pth"),
    ],
)
def test_losses_and_weights_are_those_of_one_process(results, flow_folder, way, case, file):
    student = student_workers.student_of(str(flow_folder), case)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    expected = student_workers.train(student)
    found = json.loads((results / f"{way} {case}.json").read_text())
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    state = read_student(results / file)
    moved = 0.0
    for name, value in student.state_dict().items():
        torch.testing.assert_close(state[name], value, atol=1e-5, rtol=1e-4, msg=name)
        moved = max(moved, (value.float() - before[name].float()).abs().max().item())
    assert moved > 1e-3  # else equal weights would say nothing
