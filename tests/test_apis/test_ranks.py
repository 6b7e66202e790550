"""Processes that share a run; two real ones are in test_pseudo_panoptic_resume.py."""

import torch
import torch.distributed as dist

from trace_mm.apis.ranks import barrier, default_device, ranks


def test_one_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with ranks() as (rank, world):
        assert (rank, world) == (0, 1)
        assert not dist.is_initialized()
        barrier()  # returns at once


def test_each_rank_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert default_device() == "cuda:3"
    monkeypatch.delenv("LOCAL_RANK")
    assert default_device() == "cuda:0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == "cpu"
