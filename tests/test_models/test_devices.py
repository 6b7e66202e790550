"""Where models compute if nobody says."""

import torch

from trace_mm.models.devices import check_device


def test_each_process_of_a_launch_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert str(check_device(None)) == "cuda:3"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # the launcher hides the others
    assert str(check_device(None)) == "cuda:0"
    monkeypatch.delenv("LOCAL_RANK")
    assert str(check_device(None)) == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert str(check_device(None)) == "cpu"
