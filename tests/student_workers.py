"""What each process of the student's distributed tests runs; they import it by name."""

import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.model.wrappers import MMDistributedDataParallel, MMFullyShardedDataParallel
from mmengine.optim import OptimWrapper

from tests.tiny_students import build, images_of, samples_of, shake
from trace_mm.apis.training import train as train_config
from trace_mm.apis.training import training_config
from trace_mm.models import save_student
from trace_mm.runs.group import leave_group

STEPS = 3
CASES = {
    "plain": {"timestep": 500, "reconstruction_weight": 5.0},
    "edges only": {"reconstruction": None, "gradient_checkpointing": True},
}


def student_of(folder: str, case: str):
    return shake(build(folder, **CASES[case])).train()


def train(model, rank: int = 0, world: int = 1) -> list[dict[str, float]]:
    """Losses of a few steps on this rank's share of batches of four."""
    trained = [p for p in model.parameters() if p.requires_grad]
    wrapper = OptimWrapper(torch.optim.SGD(trained, lr=1.0))
    history = []
    for step in range(STEPS):
        batch = {"inputs": images_of(4, seed=step), "data_samples": samples_of(4, seed=step + 7)}
        share = {name: values[rank::world] for name, values in batch.items()}
        losses = model.train_step(share, wrapper)
        history.append({name: value.item() for name, value in losses.items()})
    return history


def run(rank: int, folder: str, out: str) -> None:
    """One of two processes: trains under DDP and FSDP and writes losses and weights."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{out}/meeting", rank=rank, world_size=2)
    try:
        for case in CASES:
            model = MMDistributedDataParallel(student_of(folder, case))
            write_losses(train(model, rank, 2), rank, Path(out) / f"ddp {case}.json")
            if rank == 0:
                save_student(model, Path(out) / f"ddp {case}.safetensors")
        sharded = MMFullyShardedDataParallel(
            student_of(folder, "plain"), device_id=torch.device("cpu"), use_orig_params=True
        )
        write_losses(train(sharded, rank, 2), rank, Path(out) / "fsdp plain.json")
        state = sharded.state_dict()  # gathered by all ranks
        if rank == 0:
            torch.save({"state_dict": state}, Path(out) / "fsdp plain.pth")
    except BaseException:
        dist.destroy_process_group()
        raise
    leave_group()


def write_losses(history: list[dict[str, float]], rank: int, file: Path) -> None:
    """The mean over ranks of each step's losses."""
    histories: list[list[dict[str, float]]] = [[], []]
    dist.all_gather_object(histories, history)
    if rank == 0:
        mean = [
            {name: (first[name] + second[name]) / 2 for name in first}
            for first, second in zip(*histories, strict=True)
        ]
        file.write_text(json.dumps(mean))


def run_trainings(rank: int, trainings: list[dict[str, str]], meeting: str) -> None:
    """One of two processes that train one config after the other, as torchrun would start them.

    What ``trace-mm train`` calls is called here: the command itself leaves the group when it ends.
    """
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    try:
        for options in trainings:
            train_config(training_config(**options, launcher="pytorch"))
    except BaseException:
        dist.destroy_process_group()
        raise
    leave_group()
